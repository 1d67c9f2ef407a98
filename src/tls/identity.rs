//! Who a client proved to be with its certificate.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::UserFrom;
use crate::engine::ClientCertificate;

/// Reads subject and user out of a certificate that was verified.
pub(super) fn of(
    der: &CertificateDer<'_>,
    user_from: Option<UserFrom>,
) -> Option<ClientCertificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(ClientCertificate {
        subject: certificate.subject().to_string().into_boxed_str(),
        user: user_from.and_then(|from| user(&certificate, from)),
    })
}

fn user(certificate: &X509Certificate<'_>, from: UserFrom) -> Option<Box<str>> {
    let alternative = |pick: fn(&GeneralName<'_>) -> Option<Box<str>>| {
        let names = certificate.subject_alternative_name().ok().flatten()?;
        names.value.general_names.iter().find_map(pick)
    };
    match from {
        UserFrom::SubjectCn => {
            let mut names = certificate.subject().iter_common_name();
            let only = names.next()?.as_str().ok()?;
            // Two of them leave it open who this is.
            names.next().is_none().then(|| Box::from(only))
        }
        UserFrom::SanEmail => alternative(|name| match name {
            GeneralName::RFC822Name(email) => Some(Box::from(*email)),
            _ => None,
        }),
        UserFrom::SanDns => alternative(|name| match name {
            GeneralName::DNSName(dns) => Some(Box::from(*dns)),
            _ => None,
        }),
    }
    .filter(|user| !user.is_empty())
}
