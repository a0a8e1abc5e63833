//! What runs in the pods of a node: images are given to it, containers are found and killed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cluster::libraries;
use crate::{Cluster, Part, image, node, until};

impl Cluster {
    /// Gives the node an image `name` of files, each with its path in the image; it runs the first.
    ///
    /// # Errors
    /// It cannot be packed, or containerd refuses it.
    pub async fn load(&self, name: &str, files: &[(PathBuf, String)]) -> anyhow::Result<()> {
        let archive = tempfile::NamedTempFile::new_in(self.namespaces().folder())?;
        image::write(archive.path(), name, files)?;
        self.import(archive.path()).await
    }

    /// Gives the node the images of an archive.
    ///
    /// # Errors
    /// containerd refuses it.
    pub async fn import(&self, archive: &Path) -> anyhow::Result<()> {
        until("containerd", async || self.ctr(&["version".as_ref()]).ok().filter(|up| *up)).await;
        let imported = self.ctr(&["images".as_ref(), "import".as_ref(), archive.as_os_str()])?;
        anyhow::ensure!(imported, "containerd does not import {}\n{}", archive.display(), self.log(Part::Containerd));
        Ok(())
    }

    /// Gives an image of the node a second name.
    ///
    /// # Errors
    /// There is no such image.
    pub fn tag(&self, image: &str, name: &str) -> anyhow::Result<()> {
        let tagged = self.ctr(&["images", "tag", image, name].map(OsStr::new))?;
        anyhow::ensure!(tagged, "containerd does not tag {image} as {name}");
        Ok(())
    }

    fn ctr(&self, arguments: &[&OsStr]) -> anyhow::Result<bool> {
        let root = self.tools().root().context("a node has packages")?;
        let mut command = Command::new(root.join("usr/bin/ctr"));
        command.args(["--address", node::CONTAINERD, "--namespace", "k8s.io"]).args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).env("LD_LIBRARY_PATH", libraries(root));
        Ok(self.namespaces().spawn(command)?.wait()?.success())
    }

    /// SIGKILL for the one process of the first container of a pod, as from the kernel when memory is out: neither Kubernetes nor
    /// containerd is asked.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill_container(&self, namespace: &str, pod: &str) {
        let process = self.process_of(namespace, pod);
        kill(Pid::from_raw(process), Signal::SIGKILL).unwrap_or_else(|error| panic!("{process}: {error}"));
    }

    /// How many descriptors the one process of the first container of a pod has open.
    ///
    /// # Panics
    /// When it does not run.
    pub fn open_files(&self, namespace: &str, pod: &str) -> usize {
        let process = self.process_of(namespace, pod);
        fs::read_dir(format!("/proc/{process}/fd")).unwrap_or_else(|error| panic!("{process}: {error}")).count()
    }

    fn process_of(&self, namespace: &str, pod: &str) -> i32 {
        let path = "jsonpath={.status.containerStatuses[0].containerID}";
        let id = self.kubectl().run(&["get", "pod", pod, "--namespace", namespace, "-o", path]);
        let id = id.trim_start_matches("containerd://");
        let processes = processes_of(id);
        let [process] = processes[..] else { panic!("{pod} has the processes {processes:?} in its container {id:?}") };
        process
    }
}

/// The processes whose cgroup is that of a container, as seen from outside.
fn processes_of(container: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_in = |pid: &i32| {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        !container.is_empty() && groups.contains(container)
    };
    pids.filter(is_in).collect()
}
