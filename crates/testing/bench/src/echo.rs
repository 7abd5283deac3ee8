//! A server that sends every datagram back: it shows the cost of the kernel alone.

use std::{net::SocketAddr, thread};

use anyhow::Context;
use clap::Args;
use socket2::{Domain, Socket, Type};

use crate::load::datagrams::Datagrams;

/// The position of the byte of a DNS message that has the bit QR.
const RESPONSE_BIT: (usize, u8) = (2, 0x80);

/// Arguments of `quorate-bench echo`.
#[derive(Debug, Args)]
pub(crate) struct EchoArgs {
    /// Where to listen.
    #[arg(long, value_name = "IP:PORT")]
    listen: SocketAddr,
    /// How many threads, each with a socket.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Runs until it is killed.
pub(crate) fn run(args: &EchoArgs) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..args.threads)
            .map(|_| Ok(scope.spawn(echo(args.listen)?)))
            .collect::<anyhow::Result<_>>()?;
        for thread in threads {
            thread.join().expect("nothing here panics")?;
        }
        Ok(())
    })
}

fn echo(listen: SocketAddr) -> anyhow::Result<impl FnOnce() -> anyhow::Result<()>> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, None)?;
        socket.set_reuse_port(true)?;
        socket.bind(&listen.into())?;
        Ok::<_, std::io::Error>(socket)
    };
    let socket = bind().with_context(|| format!("{listen} cannot be listened at"))?;
    let sender = Datagrams::new(socket.try_clone()?.into());
    let mut receiver = Datagrams::new(socket.into());
    Ok(move || {
        loop {
            let mut batch = Vec::new();
            for (from, datagram) in receiver.receive()? {
                if let Some(byte) = datagram.get_mut(RESPONSE_BIT.0) {
                    *byte |= RESPONSE_BIT.1;
                }
                batch.push((from, &*datagram));
            }
            sender.send(&batch)?;
        }
    })
}
