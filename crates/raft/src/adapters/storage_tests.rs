//! openraft's own suite, and the rules that it does not know.

use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
    type_config::TypeConfigExt,
};
use tempfile::TempDir;

use super::*;
use crate::adapters::log_storage::LogStorage;

struct Builder;

impl StoreBuilder<TypeConfig, LogStorage, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStorage, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let (log, state_machine) = open(&dir);
        Ok((dir, log, state_machine))
    }
}

fn open(dir: &TempDir) -> (LogStorage, StateMachine) {
    let registry = quorate_metrics::Registry::new();
    let log = Log::open(
        quorate_log::Config::new(dir.path().join("log")),
        quorate_log::Metrics::register(&registry).unwrap(),
    );
    let store = Store::open(
        quorate_store::Config {
            path: dir.path().join("records.redb"),
            cache_size: 1024 * 1024,
        },
        quorate_store::Metrics::register(&registry).unwrap(),
    );
    let log = Arc::new(log.unwrap());
    let state_machine = StateMachine::new(Arc::new(store.unwrap()), log.clone()).unwrap();
    (LogStorage(log), state_machine)
}

#[test]
fn log_and_store_pass_the_suite_of_openraft() {
    // The suite brings its own runtime.
    TypeConfig::run(Suite::test_all(Builder)).unwrap();
}
