//! Where operators ask.

use std::net::{Ipv4Addr, SocketAddr};

use quorate_setting::settings;

settings! {
    /// Where operators ask.
    pub struct Config {
        /// Where it listens. It asks for no password: keep it on loopback or on a network of your
        /// own.
        listen: SocketAddr = (Ipv4Addr::LOCALHOST, 9100).into();
    }
}
