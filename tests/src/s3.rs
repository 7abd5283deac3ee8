//! A real server with the S3 protocol: moto, which `tests/tools` installs.

use std::{
    env,
    path::Path,
    process::{Child, Command, Stdio},
};

use reqwest::Client;

use crate::{ports, wait::START_WITHIN, wait::until};

/// The bucket that it has.
pub const BUCKET: &str = "bucket";

/// The server. Its process ends with this value.
pub struct S3Server {
    process: Child,
    url: String,
}

impl S3Server {
    /// Starts it, and creates [`BUCKET`].
    pub async fn start() -> Self {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../target");
        let target = env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| root.to_owned());
        let program = Path::new(&target).join("tools/moto/bin/moto_server");
        let address = ports::take_address();
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process
            .unwrap_or_else(|error| panic!("{}: {error}: run tests/tools", program.display()));
        let url = format!("http://{address}");
        let server = Self { process, url };
        let (client, bucket) = (Client::new(), format!("{}/{BUCKET}", server.url));
        until(
            "the S3 server to create a bucket",
            START_WITHIN,
            async || {
                let answer = client.put(&bucket).send().await;
                let answer = answer.map_err(|error| format!("{error:?}"))?;
                let status = answer.status();
                status.is_success().then_some(()).ok_or(status.to_string())
            },
        )
        .await;
        server
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // It is our own child, and nothing can be done if it cannot be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
