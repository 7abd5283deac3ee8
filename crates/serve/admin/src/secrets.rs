//! The secrets of the cluster: its certificate, and the key that seals them.

use axum::{Extension, Json};
use quorate_api::{
    CertificateStatus, ProblemType, RenewCertificateRequest, RotateKeyRequest, RotatedKey,
};
use quorate_http::{ProblemResponse, uncached};

use crate::{audit::AuditSubject, authorize::CallerName, input::JsonBody, operations::operations};

operations! {
    "secrets";

    /// The certificate of the cluster, and the state of its renewal
    "read" get CERTIFICATE {
        operation_id = "certificate",
        responses((status = 200, description = "The certificate, without its key", body = CertificateStatus)),
    }
    async fn certificate(shared) {
        Ok(uncached(Json(shared.node.certificate.status())))
    }

    /// Demands a new certificate
    ///
    /// The leader orders it as soon as it can; the certificate has the state of it.
    "operate" post CERTIFICATE_RENEWAL sends RenewCertificateRequest or CertificateOff {
        operation_id = "renew_certificate",
        request_body = RenewCertificateRequest,
        responses((status = 200, description = "The state of the renewal", body = CertificateStatus)),
    }
    async fn renew(shared, caller: CallerName, JsonBody(request): JsonBody<RenewCertificateRequest>) {
        if shared.node.certificate.status().directory.is_empty() {
            let detail = "this cluster orders no certificate: set tls.acme.directory on all nodes, and restart them";
            return Err(ProblemResponse::new(ProblemType::CertificateOff, detail));
        }
        shared.submit(&caller, request).await?;
        Ok(uncached(Json(shared.node.certificate.status())))
    }

    /// Replaces the cluster key
    ///
    /// The secrets of the cluster are sealed again, and the secrets of DNS cookies are replaced.
    "operate" post CLUSTER_KEY sends RotateKeyRequest {
        operation_id = "rotate_key",
        request_body = RotateKeyRequest,
        responses((status = 200, description = "The id of the new key", body = RotatedKey)),
    }
    async fn rotate_key(shared, caller: CallerName, JsonBody(request): JsonBody<RotateKeyRequest>) {
        let rotated = shared.submit(&caller, request).await?;
        let subject = Extension(AuditSubject(rotated.key.clone()));
        Ok(uncached((subject, Json(rotated))))
    }
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
