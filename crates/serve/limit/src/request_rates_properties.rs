use proptest::{prelude::*, sample::select};

use super::*;

/// What a client does next.
#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    Get,
    PutNewKey,
    PutBusy(u32),
    PutIdle(u32),
    PutAgain,
}

impl Step {
    fn run(self, rates: &Rates, client: IpAddr) -> Result<(), LimitExceeded> {
        match self {
            Self::Wait(millis) => {
                rates.wait(Duration::from_millis(millis));
                Ok(())
            }
            Self::Get => rates.rates.check_get(client),
            Self::PutNewKey => rates.put(client, PutEffect::NewKey),
            Self::PutBusy(number) => rates.put(client, busy(&key(number))),
            Self::PutIdle(number) => rates.put(client, idle(&key(number))),
            Self::PutAgain => rates.put(client, PutEffect::Unchanged),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..3_000_u64).prop_map(Step::Wait),
        Just(Step::Get),
        Just(Step::PutNewKey),
        (0..3_u32).prop_map(Step::PutBusy),
        (0..3_u32).prop_map(Step::PutIdle),
        Just(Step::PutAgain),
    ];
    prop::collection::vec(step, 1..200)
}

fn configs() -> impl Strategy<Value = LimitConfig> {
    let burst = || 1..20_u32;
    let rate = || select(vec![1, 2, 3, 7, 50, 1_000]);
    let totals = (burst(), rate(), burst(), rate(), burst(), rate());
    let others = (
        burst(),
        rate(),
        burst(),
        rate(),
        burst(),
        rate(),
        burst(),
        rate(),
    );
    (totals, others).prop_map(|(totals, others)| LimitConfig {
        total_put_burst: totals.0,
        total_put_per_sec: totals.1,
        total_new_key_burst: totals.2,
        total_new_key_per_sec: totals.3,
        total_get_burst: totals.4,
        total_get_per_sec: totals.5,
        put_burst: others.0,
        put_per_sec: others.1,
        new_key_burst: others.2,
        new_key_per_hour: others.3,
        key_put_burst: others.4,
        key_put_per_min: others.5,
        get_burst: others.6,
        get_per_sec: others.7,
        client_count_max: 1_000,
        ..LimitConfig::default()
    })
}

proptest! {
    #[test]
    fn a_lone_client_that_waits_for_retry_after_is_admitted(
        config in configs(),
        steps in steps(),
        client in select(vec!["192.0.2.1", "2001:db8::1"]),
    ) {
        let rates = Rates::new(&config);
        let client = client.parse().unwrap();
        for step in steps {
            if let Err(error) = step.run(&rates, client) {
                rates.wait(Duration::from_secs(error.retry_after_secs));
                prop_assert_eq!(step.run(&rates, client), Ok(()), "{:?} after {:?}", step, error);
            }
        }
    }
}
