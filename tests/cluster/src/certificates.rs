//! The authority of a cluster, its certificates, and the key that signs ServiceAccount tokens.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Makes `ca`, `api` (the API server), `kubelet-client` (how it calls the kubelet), each as `.crt` and `.key`, and `sa.key` with
/// `sa.pub`, in `folder`.
pub(crate) fn make(folder: &Path, api_server: &[&str]) -> anyhow::Result<()> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("test-ca", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    write(folder, "ca", &params.self_signed(&key)?.pem(), &key)?;
    let authority = Issuer::new(params, key);

    let mut api = CertificateParams::new(api_server.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    api.distinguished_name = name("kube-apiserver", None);
    sign(folder, "api", api, &authority)?;
    let mut kubelet_client = CertificateParams::default();
    kubelet_client.distinguished_name = name("apiserver-kubelet-client", Some("system:masters"));
    sign(folder, "kubelet-client", kubelet_client, &authority)?;

    let signer = KeyPair::generate()?;
    fs::write(folder.join("sa.key"), signer.serialize_pem())?;
    fs::write(folder.join("sa.pub"), signer.public_key_pem())?;
    Ok(())
}

fn sign(
    folder: &Path,
    file: &str,
    mut params: CertificateParams,
    authority: &Issuer<'_, KeyPair>,
) -> anyhow::Result<()> {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    write(folder, file, &params.signed_by(&key, authority)?.pem(), &key)?;
    Ok(())
}

fn write(folder: &Path, file: &str, certificate: &str, key: &KeyPair) -> std::io::Result<()> {
    let path = |end: &str| -> PathBuf { folder.join(format!("{file}.{end}")) };
    fs::write(path("crt"), certificate)?;
    fs::write(path("key"), key.serialize_pem())
}

fn name(common: &str, organisation: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    if let Some(organisation) = organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name
}
