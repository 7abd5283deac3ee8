//! The certificate of the cluster: `quorate certificate`.

use clap::Subcommand;
use quorate_api::{CertificateStatus, RenewCertificateRequest, path};

use crate::{
    admin::{ApiCall, Session},
    span::date,
    table,
};

pub(crate) const HELP: &str = "\
The leader orders the certificate from the authority in tls.acme.directory, and all nodes serve it.";

/// Shows or renews the certificate of the cluster.
#[derive(Debug, Subcommand)]
pub enum CertificateCommand {
    /// Show until when it is valid, when it is renewed, and why the last attempt failed
    Status,
    /// Order a new one now
    Renew,
    /// Print its chain in PEM
    Show,
}

impl CertificateCommand {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let get = ApiCall::get(path::CERTIFICATE);
        match self {
            Self::Status => {
                session.show(&get, status).await?;
            }
            Self::Renew => {
                let call = ApiCall::post(path::CERTIFICATE_RENEWAL, &RenewCertificateRequest {});
                let note = |_: &CertificateStatus| {
                    "a new certificate is demanded: see `quorate certificate status`".to_owned()
                };
                session.change(&call, note).await?;
            }
            Self::Show => {
                let status: CertificateStatus = session.call(&get).await?;
                let chain = status.certificate.map(|certificate| certificate.chain);
                let Some(chain) = chain else {
                    anyhow::bail!("there is no certificate: see `quorate certificate status`");
                };
                session.console.print(&chain, |chain| chain.clone())?;
            }
        }
        Ok(())
    }
}

fn status(status: &CertificateStatus) -> String {
    let mut lines = Vec::new();
    let authority = match status.directory.as_str() {
        "" => "none: set tls.acme.directory".to_owned(),
        directory => directory.to_owned(),
    };
    lines.push(("authority", authority));
    match &status.certificate {
        Some(certificate) => {
            let expired = match certificate.expired {
                true => " (EXPIRED)",
                false => "",
            };
            let until = date(certificate.not_after_ms);
            lines.push(("names", certificate.names.join(", ")));
            lines.push(("issuer", certificate.issuer.clone()));
            lines.push(("serial", certificate.serial.clone()));
            lines.push(("valid until", format!("{until}{expired}")));
        }
        None => lines.push(("certificate", "none yet".to_owned())),
    }
    let mut time = |name, at: Option<u64>| lines.extend(at.map(|at| (name, date(at))));
    time("renewal", status.renew_at_ms);
    time("last success", status.last_success_ms);
    if let Some(order) = &status.order {
        let since = date(order.started_ms);
        lines.push((
            "order",
            format!("{} since {since}: {}", order.step, order.url),
        ));
    }
    if let Some(reason) = &status.renewal {
        lines.push(("new one demanded", reason.clone()));
    }
    if let Some(failure) = &status.last_failure {
        let text = format!(
            "{}: {}: {}",
            date(failure.at_ms),
            failure.kind,
            failure.text
        );
        lines.push(("last failure", text));
        lines.push(("failures", status.failure_count.to_string()));
    }
    lines.extend(status.next_attempt_ms.map(|at| ("next attempt", date(at))));
    lines.extend(
        status
            .unreadable
            .clone()
            .map(|reason| ("not readable", reason)),
    );
    table::lines(&lines)
}
