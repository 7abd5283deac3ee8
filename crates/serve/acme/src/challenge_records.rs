//! Sets and removes the records that answer challenges.

use std::time::Duration;

use quorate_api::{AdminRequest, ChangeZone, ForwardedRequest, Problem};
use quorate_replica::SecretError;

use crate::{
    challenge::changes,
    context::Context,
    documents::ChallengeRecord,
    failure::{Failure, FailureKind, Stop},
};

/// How long a change of a zone may take: a few elections.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a change is made again because somebody else changed the same records at the same time.
const TRY_COUNT_MAX: usize = 3;

/// Makes the zones have these records, or not, and changes no other.
pub(crate) async fn apply(
    context: &Context,
    records: &[ChallengeRecord],
    are_wanted: bool,
) -> Result<(), Stop> {
    for _ in 0..TRY_COUNT_MAX {
        let state = context.store.zone_state();
        let changes = changes(&state, records, are_wanted);
        if changes.is_empty() {
            return Ok(());
        }
        for change in changes {
            let zone = change.zone.clone();
            let request = AdminRequest::ChangeZone(ChangeZone { change });
            let request = ForwardedRequest::new(request, CHANGE_TIMEOUT);
            let changed = context.store.operate(request).await;
            changed.map_err(|problem| refused(context, &zone.to_string(), &problem))?;
        }
    }
    match changes(&context.store.zone_state(), records, are_wanted).is_empty() {
        true => Ok(()),
        false => {
            let text = "somebody else changes the records of the challenge again and again";
            Err(Failure::new(FailureKind::Zone, text).into())
        }
    }
}

fn refused(context: &Context, zone: &str, problem: &Problem) -> Stop {
    if !context.leads() {
        return SecretError::NotLeader.into();
    }
    let text = format!("the records of the challenge cannot be set in the zone {zone}: {problem}");
    Failure::new(FailureKind::Zone, text).into()
}
