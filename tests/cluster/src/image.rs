//! Images: of the Dockerfile's last stage by buildah, and without a builder an archive of one layer with a program and what it needs.
//!
//! The form of the latter is that of the OCI image layout: blobs by digest, a manifest that names them, an index that names the
//! manifest.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::Tools;
use crate::cluster::libraries;

/// Where Debian keeps certificates of authorities.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Writes the image `name:tag` that the last stage of a Dockerfile makes of what its stage `build` left as `/forebay`: `program`;
/// authorities are this machine's, or none.
///
/// # Errors
/// buildah refuses it, or is not there.
pub fn of_dockerfile(
    tools: &Tools,
    dockerfile: &str,
    archive: &Path,
    name: &str,
    program: &Path,
) -> anyhow::Result<()> {
    let root = tools.root().context("buildah is among the packages of tests/cluster/build")?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let at = dockerfile.rfind("\nFROM ").context("a last stage")?;
    fs::create_dir(path("context"))?;
    fs::copy(program, path("context/forebay"))?;
    let authorities = fs::read(AUTHORITIES).unwrap_or_default();
    fs::write(path("context/authorities"), authorities)?;
    let build = format!("FROM scratch AS build\nCOPY forebay /forebay\nCOPY authorities {AUTHORITIES}\n");
    let stages = build + &dockerfile[at..];
    fs::write(path("context/Dockerfile"), stages)?;
    let buildah = |arguments: &[&str]| {
        let mut command = Command::new(root.join("usr/bin/buildah"));
        command.arg("--root").arg(path("storage")).arg("--runroot").arg(path("run")).args(["--storage-driver", "vfs"]);
        command.args(arguments).arg("--signature-policy").arg(root.join("etc/containers/policy.json"));
        command.env("LD_LIBRARY_PATH", libraries(root)).current_dir(path("context"));
        command
    };
    let mut build = buildah(&["build", "--isolation", "chroot", "--tag", name]);
    build.arg(".");
    let mut push = buildah(&["push"]);
    push.arg(name).arg(format!("docker-archive:{}:{name}", archive.display()));
    // It does not write over one.
    let _ = fs::remove_file(archive);
    for mut command in [build, push] {
        let output = command.output()?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Writes an image `name:tag` of files, each with its path in the image; it runs the first.
///
/// # Errors
/// A file cannot be read or the archive not written.
pub fn write(archive: &Path, name: &str, files: &[(PathBuf, String)]) -> anyhow::Result<()> {
    let (_, program) = files.first().context("an image needs a program")?;
    let mut layer = tar::Builder::new(Vec::new());
    for (file, path) in files {
        let content = fs::read(file).with_context(|| file.display().to_string())?;
        add(&mut layer, path.trim_start_matches('/'), &content, 0o755)?;
    }
    let layer = layer.into_inner()?;

    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({
        "architecture": architecture, "os": "linux",
        "config": {"Entrypoint": [program], "User": "65532:65532"},
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
