//! What `checkpoint` and `restore` are asked for, in CRIU's terms.

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

/// CLONE_NEWNET: CRIU leaves the contents of a network namespace to others, as the runtime itself does.
const EMPTY_NETWORK: u32 = CloneFlags::CLONE_NEWNET.bits() as u32;

/// How CRIU treats cgroups; criu(8), `--manage-cgroups`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupsMode {
    /// As CRIU does without being told, which is [`CgroupsMode::Soft`].
    #[default]
    Unset,
    /// Restores the properties of cgroups that it makes.
    Soft,
    /// Restores cgroups and their properties, there or not.
    Full,
    /// Makes all cgroups, which may not be there.
    Strict,
    /// Leaves them alone.
    Ignore,
}

/// What both take.
#[derive(Clone, Debug)]
pub struct CriuOptions {
    /// The program, looked for in `$PATH` (`--criu`).
    pub program: PathBuf,
    /// Directory of the images.
    pub images: PathBuf,
    /// Directory of logs and other files; that of the images without one.
    pub work: Option<PathBuf>,
    /// Established TCP connections are no error.
    pub tcp_established: bool,
    /// Unix sockets with a peer outside are no error.
    pub external_unix_sockets: bool,
    /// The container belongs to a session and a terminal of the outside.
    pub shell_job: bool,
    /// File locks are no error.
    pub file_locks: bool,
    /// Memory pages are deduplicated.
    pub auto_dedup: bool,
    /// Memory pages are moved when they are needed (userfaultfd(2)).
    pub lazy_pages: bool,
    /// How cgroups are treated.
    pub cgroups: CgroupsMode,
}

/// What `checkpoint` takes besides.
#[derive(Clone, Debug)]
pub struct CheckpointOptions {
    /// What both take.
    pub criu: CriuOptions,
    /// Images of an earlier pre-dump, relative to the directory of the images.
    pub parent: Option<PathBuf>,
    /// The container goes on running.
    pub leave_running: bool,
    /// Connections that are being made are left out.
    pub tcp_skip_in_flight: bool,
    /// Unlinked files are linked again.
    pub link_remap: bool,
    /// Only the memory, and the container goes on running.
    pub pre_dump: bool,
    /// Gets a zero byte when the pages can be fetched.
    pub status_fd: Option<i32>,
    /// Address and port of the page server.
    pub page_server: Option<(String, u16)>,
}

/// What `restore` takes besides the options of `create`.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// What both take.
    pub criu: CriuOptions,
    /// `TYPE:NAME` of another profile of a security module.
    pub lsm_profile: Option<String>,
    /// Another context for mounts that have one.
    pub lsm_mount_context: Option<String>,
}

impl CriuOptions {
    /// CRIU's options, with what both commands set alike.
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
            // Superseded by the mode, which older releases do not know.
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

    /// Sets the directory of logs; it has to stay open until CRIU has answered.
    pub(crate) fn set_work_dir(&self, message: &mut Criu_opts) -> Result<Option<File>> {
        let Some(path) = &self.work else { return Ok(None) };
        let dir = directory(path, "--work-path")?;
        message.work_dir_fd = Some(dir.as_raw_fd());
        Ok(Some(dir))
    }

    /// By what CRIU is seen to get on. Lazy pages wait until somebody fetches them.
    pub(crate) fn progress(&self) -> Option<Progress> {
        let dirs = std::iter::once(self.images.as_path()).chain(self.work.as_deref());
        (!self.lazy_pages).then(|| Progress::new(dirs))
    }

    /// Where the log of this name is.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.work.as_ref().unwrap_or(&self.images).join(name)
    }
}

/// A directory, made if it is not there.
pub(crate) fn directory(path: &Path, flag: &str) -> Result<File> {
    let what = || format!("{flag} {path:?}");
    DirBuilder::new().recursive(true).mode(0o700).create(path).context(what)?;
    File::open(path).context(what)
}

/// What a namespace that is made outside is called in the images, by all runtimes.
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
