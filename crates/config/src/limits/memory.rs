//! `memory`.

use oci_spec::runtime::{LinuxMemory, LinuxResources};

use super::field::{Bound, Field, LimitError, bytes, refuse};

/// `memory`, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub limit: Option<Bound>,
    pub reservation: Option<Bound>,
    pub swap: Option<Swap>,
    pub swappiness: Option<Swappiness>,
    pub disable_oom_killer: bool,
    pub check_before_update: bool,
}

/// `memory.swap`: the specification and cgroup v1 count it together with memory, cgroup v2 by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap {
    with_memory: Bound,
    alone: Bound,
}

/// `memory.swappiness`: 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swappiness(u8);

impl Memory {
    pub(super) fn parse(memory: &LinuxMemory) -> Result<Self, LimitError> {
        let limit = bytes("memory.limit", memory.limit())?;
        Ok(Self {
            limit,
            reservation: bytes("memory.reservation", memory.reservation())?,
            swap: Swap::parse(bytes("memory.swap", memory.swap())?, limit)?,
            swappiness: Swappiness::parse(memory.swappiness())?,
            disable_oom_killer: memory.disable_oom_killer() == Some(true),
            check_before_update: memory.check_before_update() == Some(true),
        })
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        let Self { limit, reservation, swap, swappiness, disable_oom_killer, check_before_update: _ } = self;
        let bound = |name, value: Option<Bound>| value.map(|value| Field::bound("memory", name, value));
        let mut fields: Vec<_> = bound("memory.limit", *limit).into_iter().collect();
        fields.extend(bound("memory.reservation", *reservation));
        fields.extend(bound("memory.swap", swap.map(Swap::with_memory)));
        fields.extend(swappiness.map(|value| {
            Field::limit("memory", "memory.swappiness", value.get())
                .not_on_v2("it is a setting of the whole host")
        }));
        if *disable_oom_killer {
            let field = Field::limit("memory", "memory.disableOOMKiller", true);
            fields.push(field.not_on_v2("v2 always kills"));
        }
        fields
    }
}

impl Swap {
    pub(super) fn parse(swap: Option<Bound>, limit: Option<Bound>) -> Result<Option<Self>, LimitError> {
        const FIELD: &str = "memory.swap";
        let (with_memory, alone) = match (swap, limit) {
            // Unlimited memory without a value for swap means that both are unlimited.
            (Some(Bound::Unlimited), _) | (None, Some(Bound::Unlimited)) => {
                (Bound::Unlimited, Bound::Unlimited)
            }
            (None, _) => return Ok(None),
            (Some(swap), Some(Bound::Unlimited)) => (swap, swap),
            (Some(Bound::At(swap)), None) => {
                let problem = "needs a memory limit, which it includes; set one, or use -1 for unlimited";
                return Err(refuse(FIELD, swap, problem));
            }
            (Some(Bound::At(swap)), Some(Bound::At(limit))) if swap < limit => {
                let problem = format!(
                    "is below the memory limit of {limit}, which it includes; use more, or -1 for unlimited"
                );
                return Err(refuse(FIELD, swap, problem));
            }
            (Some(Bound::At(swap)), Some(Bound::At(limit))) => (Bound::At(swap), Bound::At(swap - limit)),
        };
        Ok(Some(Self { with_memory, alone }))
    }

    /// The limit of memory and swap together.
    pub const fn with_memory(self) -> Bound {
        self.with_memory
    }

    /// The limit of swap by itself; 0 means no swap at all.
    pub const fn alone(self) -> Bound {
        self.alone
    }
}

impl Swappiness {
    pub(super) fn parse(value: Option<u64>) -> Result<Option<Self>, LimitError> {
        match value {
            // -1, which some callers write for the host's value.
            None | Some(u64::MAX) => Ok(None),
            Some(value @ 0..=100) => Ok(Some(Self(value as u8))),
            Some(value) => Err(refuse("memory.swappiness", value, "is out of range; use 0 to 100")),
        }
    }

    /// The value.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The warning for limits of kernel memory, which no supported kernel has any more.
pub fn kernel_memory_ignored(resources: &LinuxResources) -> Option<String> {
    let memory = resources.memory().as_ref()?;
    #[allow(deprecated)] // The warning is about just that.
    let given = [("kernel", memory.kernel()), ("kernelTCP", memory.kernel_tcp())];
    let names: Vec<_> = given.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name).collect();
    let fields = names.join(" and ");
    // Worded as in runc.
    (!names.is_empty())
        .then(|| format!("linux.resources.memory: {fields}: kernel memory settings are ignored"))
}
