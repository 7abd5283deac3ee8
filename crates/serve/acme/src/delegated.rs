//! Names outside of our zones.

use quorate_setting::settings;

settings! {
    /// A name outside of our zones.
    pub struct Delegated {
        /// The name, such as "www.example.com". It also holds for "*.www.example.com".
        name: String = String::new();
        /// The name in one of our zones to which a CNAME at "_acme-challenge." and the name leads.
        challenge: String = String::new();
    }
}
