//! NUMA memory policy: `linux.memoryPolicy`, for `set_mempolicy(2)`.

use oci_spec::runtime::{LinuxMemoryPolicy, MemoryPolicyFlagType, MemoryPolicyModeType};

use super::affinity::{self, ListError, NumberSet};

/// Every mode, in alphabetical order.
pub const MODES: [MemoryPolicyModeType; 7] = [
    MemoryPolicyModeType::MpolBind,
    MemoryPolicyModeType::MpolDefault,
    MemoryPolicyModeType::MpolInterleave,
    MemoryPolicyModeType::MpolLocal,
    MemoryPolicyModeType::MpolPreferred,
    MemoryPolicyModeType::MpolPreferredMany,
    MemoryPolicyModeType::MpolWeightedInterleave,
];

/// Every flag, in alphabetical order.
pub const FLAGS: [MemoryPolicyFlagType; 3] = [
    MemoryPolicyFlagType::MpolFNumaBalancing,
    MemoryPolicyFlagType::MpolFRelativeNodes,
    MemoryPolicyFlagType::MpolFStaticNodes,
];

/// The arguments of `set_mempolicy(2)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `MPOL_*` with `MPOL_F_*` or-ed in (linux/mempolicy.h).
    pub mode: u32,
    /// The nodes.
    pub nodes: NumberSet,
}

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryPolicyError {
    /// The nodes are not a list.
    #[error("linux.memoryPolicy.nodes: invalid memory policy nodes: {0}")]
    Nodes(ListError),
    /// Nodes are given for `MPOL_DEFAULT` or `MPOL_LOCAL`, which take none.
    #[error(
        "linux.memoryPolicy: invalid memory policy: {mode} mode requires 0 nodes but got {count}; remove nodes"
    )]
    NodesGiven {
        /// The mode.
        mode: MemoryPolicyModeType,
        /// How many nodes there are.
        count: usize,
    },
    /// The mode requires nodes, and none are given.
    #[error(
        "linux.memoryPolicy: invalid memory policy: {mode} mode requires at least one node; name some in nodes"
    )]
    NodesMissing {
        /// The mode.
        mode: MemoryPolicyModeType,
    },
    /// The kernel answers EINVAL to these two flags together.
    #[error(
        "linux.memoryPolicy.flags: invalid memory policy flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other; keep one"
    )]
    StaticAndRelative,
}

/// The arguments for `set_mempolicy(2)`.
///
/// # Errors
/// [`MemoryPolicyError`]: a malformed list, nodes where none are allowed, or none where some are required.
pub fn resolve(policy: &LinuxMemoryPolicy) -> Result<MemoryPolicy, MemoryPolicyError> {
    let nodes = affinity::parse(policy.nodes().as_deref().unwrap_or("")).map_err(MemoryPolicyError::Nodes)?;
    let mode = policy.mode();
    let number = match mode {
        MemoryPolicyModeType::MpolDefault => 0,
        MemoryPolicyModeType::MpolPreferred => 1,
        MemoryPolicyModeType::MpolBind => 2,
        MemoryPolicyModeType::MpolInterleave => 3,
        MemoryPolicyModeType::MpolLocal => 4,
        MemoryPolicyModeType::MpolPreferredMany => 5,
        MemoryPolicyModeType::MpolWeightedInterleave => 6,
    };
    match mode {
        MemoryPolicyModeType::MpolDefault | MemoryPolicyModeType::MpolLocal if !nodes.is_empty() => {
            return Err(MemoryPolicyError::NodesGiven { mode, count: nodes.len() });
        }
        // An empty list prefers the local node.
        MemoryPolicyModeType::MpolDefault
        | MemoryPolicyModeType::MpolLocal
        | MemoryPolicyModeType::MpolPreferred => {}
        _ if nodes.is_empty() => return Err(MemoryPolicyError::NodesMissing { mode }),
        _ => {}
    }
    let flags = policy.flags().iter().flatten().fold(0, |flags, flag| flags | bit(*flag));
    let exclusive =
        bit(MemoryPolicyFlagType::MpolFStaticNodes) | bit(MemoryPolicyFlagType::MpolFRelativeNodes);
    if flags & exclusive == exclusive {
        return Err(MemoryPolicyError::StaticAndRelative);
    }
    Ok(MemoryPolicy { mode: number | flags, nodes })
}

fn bit(flag: MemoryPolicyFlagType) -> u32 {
    match flag {
        MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
        MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
        MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<MemoryPolicy, MemoryPolicyError> {
        resolve(&serde_json::from_str(json).expect("policy"))
    }

    #[test]
    fn mode_flags_and_nodes_are_numbers() {
        for (json, mode, nodes) in [
            (r#"{"mode":"MPOL_DEFAULT"}"#, 0, &[][..]),
            (r#"{"mode":"MPOL_PREFERRED"}"#, 1, &[]),
            (r#"{"mode":"MPOL_PREFERRED","nodes":"1"}"#, 1, &[1]),
            (r#"{"mode":"MPOL_BIND","nodes":"0-1","flags":["MPOL_F_STATIC_NODES"]}"#, 0x8002, &[0, 1]),
            (r#"{"mode":"MPOL_LOCAL"}"#, 4, &[]),
            (r#"{"mode":"MPOL_WEIGHTED_INTERLEAVE","nodes":"0"}"#, 6, &[0]),
        ] {
            let policy = read(json).expect(json);
            assert_eq!(
                (policy.mode, policy.nodes.iter().collect::<Vec<_>>()),
                (mode, nodes.to_vec()),
                "{json}"
            );
        }
    }

    #[test]
    fn nodes_must_fit_the_mode() {
        for (json, expected) in [
            (
                r#"{"mode":"MPOL_LOCAL","nodes":"0"}"#,
                "linux.memoryPolicy: invalid memory policy: MPOL_LOCAL mode requires 0 nodes but got 1",
            ),
            (
                r#"{"mode":"MPOL_BIND"}"#,
                "linux.memoryPolicy: invalid memory policy: MPOL_BIND mode requires at least one node",
            ),
            (
                r#"{"mode":"MPOL_BIND","nodes":"x"}"#,
                "linux.memoryPolicy.nodes: invalid memory policy nodes: \"x\" is neither",
            ),
            (
                r#"{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]}"#,
                "linux.memoryPolicy.flags: ",
            ),
        ] {
            let error = read(json).expect_err(json).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
