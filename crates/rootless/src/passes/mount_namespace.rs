//! An ordinary user may not mount anything in the host's mount namespace; `mount_namespaces`(7).

use oci_spec::runtime::LinuxNamespaceType;

use rootling_config::namespaces::Namespace;

use super::view::{add_namespace, namespace};
use crate::pass::{AdaptError, Pass};

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    if pass.host.needs_user_namespace() && namespace(pass.spec, LinuxNamespaceType::Mount) == Namespace::None
    {
        add_namespace(pass.spec, LinuxNamespaceType::Mount);
        pass.note(
            "linux.namespaces: added \"mount\"",
            "an ordinary user can mount the container's file systems only in a mount namespace of its own",
        );
    }
    Ok(())
}
