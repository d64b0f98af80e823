//! `unpack`.

use std::path::Path;

use rootling_cli::log;
use rootling_cli::namespaces::{DefaultIds, namespaces};
use rootling_cli::roots::Context;
use rootling_cli::terminal::print;
use rootling_config::generate::{Namespaces, UserNamespace, size};
use rootling_config::idmap::mapping;
use rootling_image::{
    Bundle, Error, HelperIds, Limits, PullOptions, Result, Signals, Source, Unpacked, Work, clear, remove,
    remove_empty, supervise,
};
use rootling_rootless::idmap::{self, Maps};
use rootling_runtime::Host;
use serde_json::json;

use super::{config, layout};
use crate::args::Unpack;

/// A directory next to the root file system while that is being made; it is removed in the end.
const SCRATCH: &str = ".scratch";

pub(super) fn unpack(context: Context<'_>, args: &Unpack) -> Result<()> {
    let host = context.host;
    let source: Source = args.image.parse()?;
    let job = Job {
        context,
        args,
        limits: limits(args)?,
        platform: layout::platform(&args.choice)?,
        rootfs: config::rootfs(&args.flags)?,
        namespaces: namespaces(context, &args.flags, host.is_ordinary_user(), DefaultIds::All, None)?,
        signals: Signals::block_for_good().map_err(Error::from)?,
    };
    let ids = ids(host, &job.namespaces);
    let bundle = Bundle::begin(&args.bundle, args.force)?;
    for left in bundle.stale() {
        job.clear(&left);
    }
    match job.run(&bundle, &ids, source) {
        Ok(done) => job.report(&bundle, &done),
        Err(error) => {
            job.clear(bundle.staging());
            Err(error)
        }
    }
}

/// What the command line asks for.
struct Job<'a> {
    context: Context<'a>,
    args: &'a Unpack,
    limits: Limits,
    platform: rootling_image::Platform,
    rootfs: &'a str,
    namespaces: Namespaces,
    signals: Signals,
}

impl Job<'_> {
    fn run(&self, bundle: &Bundle, ids: &HelperIds, source: Source) -> Result<Unpacked> {
        let (host, dir) = (self.context.host, bundle.staging());
        let scratch = dir.join(SCRATCH);
        std::fs::create_dir(&scratch).map_err(|error| Error::from(error).wrap(format!("{scratch:?}")))?;
        let source = match source {
            Source::Registry(reference) => self.pull(reference, &scratch)?,
            other => other,
        };
        let work = Work {
            source,
            platform: self.platform.clone(),
            limits: self.limits,
            show: layout::show(&self.args.choice),
            root: dir.join(self.rootfs),
            scratch: scratch.clone(),
        };
        let done = supervise(host, ids, &self.signals, || rootling_image::unpack(&work))?;
        let (text, file) = config::text(self.context, self.args, self.namespaces.clone(), &done)?;
        config::write(dir, &text, file.as_ref())?;
        remove(&scratch)?;
        if !host.is_ordinary_user() && matches!(ids, HelperIds::Mapped(_)) {
            // The container's root is another user on the host, who must be able to search the directory.
            let passable = std::os::unix::fs::PermissionsExt::from_mode(0o711);
            std::fs::set_permissions(dir, passable)
                .map_err(|error| Error::from(error).wrap(format!("{dir:?}")))?;
        }
        if let Some(old) = bundle.commit()? {
            self.clear(&old);
        }
        Ok(done)
    }

    /// Removes what is no longer needed, whatever ids own it.
    fn clear(&self, path: &Path) {
        if remove_empty(path, &[SCRATCH]) {
            return;
        }
        let host = self.context.host;
        let (ids, who) = match idmap::default_maps(host) {
            Ok(wanted) if host.is_ordinary_user() => {
                let who = if wanted.maps.uid.len() > 1 { "as root run" } else { "run" };
                (HelperIds::Mapped(wanted.maps), who)
            }
            _ => (HelperIds::Caller, "run"),
        };
        if let Err(error) = clear(host, &ids, &self.signals, path) {
            log::warning(&format!(
                "{path:?}, which is not needed any more, could not be removed: {error}; {who} `rm -rf {path:?}`"
            ));
        }
    }

    /// Downloads the image as the caller, so that the caller's credential helpers may be run.
    fn pull(&self, reference: String, scratch: &Path) -> Result<Source> {
        let dir = scratch.join("layout");
        let options = PullOptions {
            reference,
            access: layout::access(&self.args.registry),
            platform: self.platform.clone(),
            show: layout::show(&self.args.choice),
        };
        let pull = || rootling_image::pull(&options, &dir);
        let pulled = supervise(self.context.host, &HelperIds::Caller, &self.signals, pull)?;
        Ok(Source::Layout(dir, Some(pulled.digest)))
    }

    fn report(&self, bundle: &Bundle, done: &Unpacked) -> Result<()> {
        let notes = done.notes.lines();
        if !self.args.choice.json {
            for note in &notes {
                log::warning(note);
            }
            return Ok(());
        }
        let report = json!({
            "bundle": bundle.place().to_string_lossy(),
            "rootfs": self.rootfs,
            "image": self.args.image,
            "layers": done.layers,
            "notes": notes,
        });
        print(&format!("{report:#}\n"))
    }
}

fn limits(args: &Unpack) -> Result<Limits> {
    let bytes = size("max-size", &args.max_size).map_err(|error| Error::invalid(error.to_string()))?;
    // -1 means no limit, as with other sizes.
    let size = u64::try_from(bytes).unwrap_or(u64::MAX);
    Ok(Limits { entries: args.max_entries, size, ratio: args.max_ratio })
}

/// The ids that own the files: those of the container.
fn ids(host: &Host, namespaces: &Namespaces) -> HelperIds {
    match &namespaces.user {
        UserNamespace::Maps { uid, gid } => HelperIds::Mapped(Maps { uid: uid.clone(), gid: gid.clone() }),
        UserNamespace::Joined(path) => HelperIds::Joined(path.clone()),
        // `run` adds the same for an ordinary user: in a user namespace, the process may write to everything that it
        // owns.
        UserNamespace::Default | UserNamespace::Host if host.is_ordinary_user() => {
            let map = |id| vec![mapping(0, id, 1)];
            HelperIds::Mapped(Maps { uid: map(host.euid()), gid: map(host.egid()) })
        }
        UserNamespace::Default | UserNamespace::Host => HelperIds::Caller,
    }
}
