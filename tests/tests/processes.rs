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
mod growth;
mod joining;
mod metrics;
mod metrics_tables;
mod moving;
mod partitions;
mod pauses;
mod peer;
mod procedures;
mod programs;
mod removal;
mod replacement;
mod rolling;
mod scenarios;
mod upgrade;
mod watched;
