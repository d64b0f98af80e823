//! The options of `checkpoint` and `restore`, in CRIU's terms.

use std::fs::{DirBuilder, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use oci_spec::runtime::LinuxNamespaceType;
use rootling_config::namespaces::proc_name;
use rust_criu::rust_criu_protobuf::rpc::{Criu_cg_mode, Criu_opts};

use super::Progress;
use crate::error::{Context, Result};

/// CLONE_NEWNET: CRIU leaves the contents of a network namespace to others, and so does this runtime.
const EMPTY_NETWORK: u32 = CloneFlags::CLONE_NEWNET.bits() as u32;

/// How CRIU treats cgroups; criu(8), `--manage-cgroups`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupsMode {
    /// CRIU's own default, which is [`CgroupsMode::Soft`].
    #[default]
    Unset,
    /// Restores the properties of those cgroups that CRIU itself makes.
    Soft,
    /// Restores cgroups and their properties, whether or not the cgroups exist.
    Full,
    /// Makes all cgroups; it is an error if one exists.
    Strict,
    /// Leaves cgroups alone.
    Ignore,
}

/// The options that both commands take.
#[derive(Clone, Debug)]
pub struct CriuOptions {
    /// The program, which is looked up in `$PATH` (`--criu`).
    pub program: PathBuf,
    /// The directory of the images.
    pub images: PathBuf,
    /// The directory for logs and other files; the image directory if there is none.
    pub work: Option<PathBuf>,
    /// Accept established TCP connections.
    pub tcp_established: bool,
    /// Accept Unix sockets whose peer is outside the container.
    pub external_unix_sockets: bool,
    /// The container belongs to a session and a terminal outside.
    pub shell_job: bool,
    /// Accept file locks.
    pub file_locks: bool,
    /// Deduplicate memory pages.
    pub auto_dedup: bool,
    /// Move memory pages only when they are needed (userfaultfd(2)).
    pub lazy_pages: bool,
    /// How to treat cgroups.
    pub cgroups: CgroupsMode,
}

/// The options of `checkpoint`.
#[derive(Clone, Debug)]
pub struct CheckpointOptions {
    /// The options that both commands take.
    pub criu: CriuOptions,
    /// Images of an earlier pre-dump, relative to the image directory.
    pub parent: Option<PathBuf>,
    /// Leave the container running.
    pub leave_running: bool,
    /// Leave out connections that are still being established.
    pub tcp_skip_in_flight: bool,
    /// Link unlinked files again.
    pub link_remap: bool,
    /// Dump only the memory, and leave the container running.
    pub pre_dump: bool,
    /// The descriptor that gets a zero byte when the pages can be fetched.
    pub status_fd: Option<i32>,
    /// The address and the port of the page server.
    pub page_server: Option<(String, u16)>,
}

/// The options of `restore`, beside those of `create`.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The options that both commands take.
    pub criu: CriuOptions,
    /// Another profile of a security module, as `TYPE:NAME`.
    pub lsm_profile: Option<String>,
    /// Another context for the mounts that have one.
    pub lsm_mount_context: Option<String>,
}

impl CriuOptions {
    /// CRIU's options, with those set that both commands have in common.
    pub(crate) fn message(&self, log: &str) -> Criu_opts {
        let mode = match self.cgroups {
            CgroupsMode::Unset => Criu_cg_mode::DEFAULT,
            CgroupsMode::Soft => Criu_cg_mode::SOFT,
            CgroupsMode::Full => Criu_cg_mode::FULL,
            CgroupsMode::Strict => Criu_cg_mode::STRICT,
            CgroupsMode::Ignore => Criu_cg_mode::IGNORE,
        };
        Criu_opts {
            log_level: Some(4),
            log_file: Some(log.to_owned()),
            // Superseded by the mode, which older CRIU releases do not know.
            manage_cgroups: Some(true),
            manage_cgroups_mode: Some(mode.into()),
            notify_scripts: Some(true),
            shell_job: Some(self.shell_job),
            tcp_established: Some(self.tcp_established),
            ext_unix_sk: Some(self.external_unix_sockets),
            file_locks: Some(self.file_locks),
            empty_ns: Some(EMPTY_NETWORK),
            orphan_pts_master: Some(true),
            auto_dedup: Some(self.auto_dedup),
            lazy_pages: Some(self.lazy_pages),
            ..Criu_opts::default()
        }
    }

    /// Sets the directory for logs. The returned file must stay open until CRIU has answered.
    pub(crate) fn set_work_dir(&self, message: &mut Criu_opts) -> Result<Option<File>> {
        let Some(path) = &self.work else { return Ok(None) };
        let dir = directory(path, "--work-path")?;
        message.work_dir_fd = Some(dir.as_raw_fd());
        Ok(Some(dir))
    }

    /// How CRIU's progress is observed; `None` with lazy pages, which wait until somebody fetches them.
    pub(crate) fn progress(&self) -> Option<Progress> {
        let dirs = std::iter::once(self.images.as_path()).chain(self.work.as_deref());
        (!self.lazy_pages).then(|| Progress::new(dirs))
    }

    /// The path of the log with this name.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.work.as_ref().unwrap_or(&self.images).join(name)
    }
}

/// Opens a directory, making it if it does not exist.
pub(crate) fn directory(path: &Path, flag: &str) -> Result<File> {
    let what = || format!("{flag} {path:?}");
    DirBuilder::new().recursive(true).mode(0o700).create(path).context(what)?;
    File::open(path).context(what)
}

/// The name in the images of a namespace that was made outside; all runtimes use the same.
pub(crate) fn namespace_key(kind: LinuxNamespaceType) -> String {
    let name = proc_name(kind);
    let (first, rest) = name.split_at(1);
    format!("extRoot{}{rest}NS", first.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_namespaces_are_those_of_other_runtimes() {
        assert_eq!(namespace_key(LinuxNamespaceType::Network), "extRootNetNS");
        assert_eq!(namespace_key(LinuxNamespaceType::Pid), "extRootPidNS");
    }
}
