//! Scenarios over real processes and sockets: one module for each subject.

mod bad_input;
mod bad_peers;
mod bad_starts;
mod clients;
mod clocks;
mod damage;
mod dev;
mod disk_full;
mod founding;
mod metrics;
mod metrics_tables;
mod partitions;
mod pauses;
mod peer;
mod programs;
mod scenarios;
mod upgrade;
mod watched;
