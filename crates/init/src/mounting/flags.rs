//! Mount options as attributes of mount_setattr(2).

use rootling_config::mounts::MountOptions;
use rootling_config::mounts::table::{ATIME_FLAGS, SWITCHES};
use rootling_sys::mount::{MS_NOATIME, MS_NODIRATIME, MS_STRICTATIME, MountAttr, attr};

/// Converts flags of mount(2) to attributes of mount_setattr(2).
pub(crate) fn own_attr(options: &MountOptions) -> MountAttr {
    let pairs = SWITCHES.iter().map(|switch| (switch.ms, switch.attr));
    let pairs: Vec<_> = pairs.chain([(MS_NODIRATIME, attr::NODIRATIME)]).collect();
    let of = |flags: u64| pairs.iter().filter(|(ms, _)| flags & ms != 0).map(|(_, attr)| attr).sum::<u64>();
    let mut attr = MountAttr { set: of(options.set), clear: of(options.clear), ..MountAttr::default() };
    // The access time setting is a single number, which has to be cleared before it is set.
    if (options.set | options.clear) & ATIME_FLAGS != 0 {
        attr.set |= access_time(options.set);
        attr.clear |= attr::ATIME;
    }
    attr
}

/// The single access time setting that mount(2) derives from its flags.
pub(super) fn access_time(ms: u64) -> u64 {
    if ms & MS_STRICTATIME != 0 {
        attr::STRICTATIME
    } else if ms & MS_NOATIME != 0 {
        attr::NOATIME
    } else {
        attr::RELATIME
    }
}

/// The flags that apply to the whole tree, if there are any.
pub(crate) fn recursive_attr(options: &MountOptions) -> Option<MountAttr> {
    let attr = MountAttr { set: options.rec_set, clear: options.rec_clear, ..MountAttr::default() };
    (attr != MountAttr::default()).then_some(attr)
}
