//! Client certificates. rustls checked the chain against `--feed-client-ca`; what is left is whom the certificate names: one
//! URI, `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/NAME`, as SPIFFE meshes and cert-manager's csi-driver write it. The trust
//! domain is not looked at: the CA file says whom we trust.

use config::Millis;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::policy::{Account, AccountError};
use super::{Denied, Identity, Policy};

/// The identity that a verified certificate names. `now` is one moment on both clocks.
pub fn identify(
    certificate: &CertificateDer<'_>,
    policy: &Policy,
    now: (Millis, Timestamp),
) -> Result<Identity, Denied> {
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|problem| Denied::Certificate(problem.to_string()))?;
    let ends = certificate.validity().not_after.timestamp();
    let left = u64::try_from(ends.saturating_sub(now.1.as_second())).unwrap_or(0);
    if left == 0 {
        return Err(Denied::Certificate("it has expired".to_owned()));
    }
    let ends = Millis(left.saturating_mul(1000)).after(now.0);
    Ok(policy.identity(account(&certificate)?, None, Some(ends)))
}

fn account(certificate: &X509Certificate<'_>) -> Result<Account, AccountError> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let mut uris = names.filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    // A certificate with several would be whoever suits it (SPIFFE X509-SVID section 2: exactly one).
    match (uris.next(), uris.next()) {
        (Some(uri), None) => of_uri(uri).ok_or(AccountError::Certificate),
        (Some(_) | None, _) => Err(AccountError::Certificate),
    }
}

fn of_uri(uri: &str) -> Option<Account> {
    let parts: Vec<&str> = uri.strip_prefix("spiffe://")?.splitn(6, '/').collect();
    match parts[..] {
        [domain, "ns", namespace, "sa", name] if !domain.is_empty() => Account::of(namespace, name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(names: &[&str]) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["web.shop".to_owned()]).unwrap();
        params.subject_alt_names.extend(names.iter().map(|name| SanType::URI((*name).try_into().unwrap())));
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn read(names: &[&str], wall: &str) -> Result<Identity, Denied> {
        identify(&certificate(names), &Policy::default(), (Millis(1000), wall.parse().unwrap()))
    }

    #[test]
    fn a_certificate_names_an_account_until_it_ends() {
        let identity = read(&["spiffe://any/ns/shop/sa/web"], "2029-12-31T23:59:50Z").unwrap();
        assert_eq!(identity.account.to_string(), "shop/web");
        assert_eq!(identity.ends, Some(Millis(11_000)));
        let late = read(&["spiffe://any/ns/shop/sa/web"], "2030-01-01T00:00:00Z");
        assert!(matches!(late, Err(Denied::Certificate(_))), "{late:?}");
    }

    #[test]
    fn other_names_are_nobody() {
        for names in [
            &[][..],
            &["https://any/ns/shop/sa/web"],
            &["spiffe:///ns/shop/sa/web"],
            &["spiffe://any/ns/shop"],
            &["spiffe://any/ns/shop/sa/web/more"],
            &["spiffe://any/ns//sa/web"],
            &["spiffe://any/ns/sh%2Fop/sa/web"],
            &["spiffe://any/ns/shop/sa/web", "spiffe://any/ns/pay/sa/web"],
        ] {
            let refused = read(names, "2029-01-01T00:00:00Z");
            assert_eq!(refused, Err(AccountError::Certificate.into()), "{names:?}");
        }
    }
}
