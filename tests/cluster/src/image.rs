//! Images without a builder: an OCI archive of one layer with one program.
//!
//! It is what the last stage of the Dockerfile makes of a static program: `FROM scratch`, nothing but the program, a user without
//! a name. The form is that of the OCI image layout: blobs by digest, a manifest that names them, an index that names the manifest.

use std::fs::File;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

/// Writes an image `name:tag` that runs `program` as `path`.
///
/// # Errors
/// The program cannot be read or the archive not written.
pub fn write(archive: &Path, name: &str, program: &Path, path: &str) -> anyhow::Result<()> {
    let mut layer = tar::Builder::new(Vec::new());
    add(&mut layer, path.trim_start_matches('/'), &std::fs::read(program)?, 0o755)?;
    let layer = layer.into_inner()?;

    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({
        "architecture": architecture, "os": "linux",
        "config": {"Entrypoint": [path], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [hash(&layer)]},
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    entry["platform"] = json!({"architecture": architecture, "os": "linux"});
    entry["annotations"] = json!({"io.containerd.image.name": name});
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry],
    });

    let mut tar = tar::Builder::new(File::create(archive)?);
    add(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
    add(&mut tar, "index.json", index.to_string().as_bytes(), 0o644)?;
    for folder in ["blobs/", "blobs/sha256/"] {
        add(&mut tar, folder, &[], 0o755)?;
    }
    for blob in [&config, &layer, &manifest] {
        add(&mut tar, &format!("blobs/{}", hash(blob).replace(':', "/")), blob, 0o644)?;
    }
    tar.finish()?;
    Ok(())
}

/// A file, or a folder if `path` ends with a slash.
fn add<W: std::io::Write>(tar: &mut tar::Builder<W>, path: &str, content: &[u8], mode: u32) -> std::io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(if path.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content)
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": hash(blob), "size": blob.len()})
}

fn hash(blob: &[u8]) -> String {
    let hex: Vec<_> = digest(&SHA256, blob).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", hex.concat())
}
