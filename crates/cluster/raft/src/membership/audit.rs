//! The leader's audit log lines for requests that operators sent to other nodes.

use quorate_api::{
    AUDIT_TARGET, AdminRequest, ChangeMember, ForwardedAnswer, ForwardedRequest, Problem,
};
use quorate_peer::NodeId;

/// The most characters of a subject in a line.
const SUBJECT_LEN_MAX: usize = 256;

/// The audit line of a change: the node that forwarded it, and the operator who requested it there.
pub(super) struct AuditLine {
    peer: NodeId,
    by: String,
    request: &'static str,
    subject: String,
}

impl AuditLine {
    /// The line for a request that `peer` forwarded; `None` if the request changes nothing.
    pub(super) fn new(peer: NodeId, forwarded: &ForwardedRequest) -> Option<Self> {
        let by = forwarded.token.as_deref().unwrap_or("the node itself");
        let subject = match &forwarded.request {
            AdminRequest::Members(_) => return None,
            // Names and keys are shorter.
            AdminRequest::ChangeMember(ChangeMember { node, .. }) => {
                node.chars().take(SUBJECT_LEN_MAX).collect()
            }
            AdminRequest::Join(call) => call.node.to_string(),
            AdminRequest::DeletePacket(delete) => delete.key.to_string(),
            _ => String::new(),
        };
        Some(Self {
            peer,
            by: by.to_owned(),
            request: (&forwarded.request).into(),
            subject,
        })
    }

    /// Writes the line with the outcome of the request. Text from another node is quoted.
    pub(super) fn write(self, answer: &Result<ForwardedAnswer, Problem>) {
        let outcome = answer.as_ref().err();
        let outcome = outcome.map_or("done", |problem| problem.problem_type.uri());
        tracing::info!(
            target: AUDIT_TARGET,
            by = self.by,
            node = %self.peer,
            request = self.request,
            subject = self.subject,
            outcome,
            "a change that another node requested"
        );
    }
}
