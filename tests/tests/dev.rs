//! `quorate dev`, as a new user sees it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use quorate_tests::{
    Signal, binary,
    wait::{CONVERGE_WITHIN, START_WITHIN, STOP_WITHIN, until},
};
use rustix::process::{Pid, kill_process};
use tempfile::TempDir;

/// Port offsets away from the ports of other tests and of outgoing connections: one more than the tests
/// that use them at the same time.
const PORT_OFFSETS: [u16; 5] = [10_000, 10_200, 10_400, 10_600, 10_800];

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_commands_of_1_node_work_and_the_data_stays() {
    the_printed_commands_work_and_the_data_stays(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_commands_of_3_nodes_work_and_the_data_stays() {
    the_printed_commands_work_and_the_data_stays(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_commands_of_5_nodes_work_and_the_data_stays() {
    the_printed_commands_work_and_the_data_stays(5).await;
}

/// The three printed commands work; Ctrl-C stops it; restarted, it has its data.
async fn the_printed_commands_work_and_the_data_stays(count: usize) {
    let dir = TempDir::new().expect("a temporary directory can be created");
    let data = dir.path().join("data");
    let count = count.to_string();
    let args = [
        "--nodes",
        &count,
        "--data-dir",
        data.to_str().expect("it is text"),
    ];
    let mut dev = Dev::start(&dir, &args).await;
    let first_line = dev.text_after("Quorate: ");
    let nodes = if count == "1" { "node" } else { "nodes" };
    assert_eq!(
        first_line,
        format!("{count} {nodes}, data in {}", data.display())
    );
    let commands = dev.printed_commands();
    let [status, publish, curl, dig] = &commands[..] else {
        panic!("four commands: {commands:?}")
    };

    let shown = shell(status);
    assert!(shown.status.success(), "{shown:?}");
    let published = shell(publish);
    assert!(published.status.success(), "{published:?}");
    expect_found(curl, dig).await;
    expect_apex(dig);

    dev.interrupt().await;
    dev = Dev::start(&dir, &args).await;
    let commands = dev.printed_commands();
    let [_, _, curl, dig] = &commands[..] else {
        panic!("four commands: {commands:?}")
    };
    expect_found(curl, dig).await;
    dev.interrupt().await;
}

/// Ephemeral data is gone after Ctrl-C, and the output does not claim that it stays.
#[tokio::test(flavor = "multi_thread")]
async fn ephemeral_data_is_gone_at_the_end() {
    let dir = TempDir::new().expect("a temporary directory can be created");
    let mut dev = Dev::start(&dir, &["--ephemeral"]).await;
    let data = PathBuf::from(dev.text_after("data in "));
    assert!(data.join("node-3").is_dir(), "{}", data.display());
    dev.interrupt().await;
    assert!(!data.exists(), "{} is still there", data.display());
    assert!(
        !dev.output().contains("it has its data"),
        "{}",
        dev.output()
    );
}

/// A port in use is reported, with a solution.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named_with_a_solution() {
    let offset = PORT_OFFSETS[3] + 50;
    let taken = std::net::SocketAddr::from(([127, 0, 0, 1], 8082 + offset));
    let _taken = std::net::TcpListener::bind(taken).expect("nobody else is there");
    let output = binary::command()
        .args(["dev", "--ephemeral", "--port-offset", &offset.to_string()])
        .output()
        .expect("quorate can be started");
    assert!(!output.status.success());
    let output = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.contains(&taken.to_string()) && output.contains("--port-offset"),
        "{output}"
    );
}

/// Expects the packet in the answer of the curl command, and the text in that of dig.
async fn expect_found(curl: &str, dig: &str) {
    for (command, expected) in [
        (curl, "200 OK"),
        (dig, "\"relay=https://relay.example.org\""),
    ] {
        until(
            &format!("{expected:?} from {command:?}"),
            CONVERGE_WITHIN,
            async || {
                let output = shell(command);
                let stdout = String::from_utf8_lossy(&output.stdout);
                if stdout.contains(expected) {
                    Ok(())
                } else {
                    Err(format!("{output:?}"))
                }
            },
        )
        .await;
    }
}

/// Expects that the server of the dig command answers for the names of the origin itself.
fn expect_apex(dig: &str) {
    let (server, _) = dig.split_once(" TXT ").expect("it asks for a text");
    for (question, answer) in [
        ("NS quorate.test", "ns1.quorate.test.\n"),
        ("A quorate.test", "127.0.0.1\n"),
        ("A ns1.quorate.test", "127.0.0.1\n"),
    ] {
        let output = shell(&format!("{server} +short {question}"));
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert_eq!(stdout, answer, "{question}: {output:?}");
    }
}

fn shell(command: &str) -> Output {
    let output = Command::new("sh")
        .args(["-c", command])
        .env("no_proxy", "*")
        .output();
    output.expect("there is a shell")
}

/// A running `quorate dev`, killed when this is dropped.
struct Dev {
    process: Child,
    output: PathBuf,
}

impl Dev {
    /// Starts it, with other ports if some are in use, and waits until it reports that it is ready.
    async fn start(dir: &TempDir, args: &[&str]) -> Self {
        for offset in PORT_OFFSETS {
            if let Some(dev) = Self::try_start(dir.path(), args, offset).await {
                return dev;
            }
        }
        panic!("ports at all of the offsets {PORT_OFFSETS:?} are taken");
    }

    async fn try_start(dir: &Path, args: &[&str], offset: u16) -> Option<Self> {
        let output = dir.join("output");
        let out = File::create(&output).expect("the file can be written");
        let process = binary::command()
            .args(["dev", "--port-offset", &offset.to_string()])
            .args(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a handle can be copied"))
            .stderr(out.try_clone().expect("a handle can be copied"))
            .spawn()
            .expect("quorate can be started");
        let mut dev = Self { process, output };
        let ready = until("quorate dev to be ready", START_WITHIN, async || {
            let output = dev.output();
            match dev.exited() {
                Some(_) if output.contains("--port-offset") => Ok(false),
                Some(code) => panic!("it ended with {code:?}: {output}"),
                None if output.contains("\nReady.") => Ok(true),
                None => Err(output),
            }
        });
        ready.await.then_some(dev)
    }

    fn output(&self) -> String {
        fs::read_to_string(&self.output).expect("the file is ours")
    }

    /// The rest of the line that has `start` in it.
    fn text_after(&self, start: &str) -> String {
        let output = self.output();
        let line = output.lines().find_map(|line| line.split_once(start));
        let (_, rest) = line.unwrap_or_else(|| panic!("{start:?} is not in {output}"));
        rest.to_owned()
    }

    fn exited(&mut self) -> Option<Option<i32>> {
        let status = self
            .process
            .try_wait()
            .expect("our own child can be waited for");
        status.map(|status| status.code())
    }

    fn printed_commands(&self) -> Vec<String> {
        let output = self.output();
        let (_, commands) = output
            .split_once("Try, in another terminal:\n\n")
            .expect("it says so");
        let commands = commands.lines().take_while(|line| !line.is_empty());
        commands.map(|command| command.trim().to_owned()).collect()
    }

    /// Ctrl-C.
    async fn interrupt(&mut self) {
        kill_process(Pid::from_child(&self.process), Signal::INT).expect("it runs");
        let code = until("quorate dev to stop", STOP_WITHIN, async || {
            self.exited().ok_or_else(|| self.output())
        })
        .await;
        assert_eq!(code, Some(0), "{}", self.output());
        assert!(self.output().ends_with("Stopped.\n"), "{}", self.output());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // An error means that it has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
