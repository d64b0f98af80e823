//! Lowering `oom_score_adj` requires a capability over the host; `proc_pid_oom_score_adj`(5).

use crate::pass::{AdaptError, Pass};

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    let Some(process) = pass.spec.process_mut() else { return Ok(()) };
    let Some(value) = process.oom_score_adj() else { return Ok(()) };
    let own = pass.host.oom_score_adj().map_err(|error| AdaptError::OomScore { value, error })?;
    if value < own {
        process.set_oom_score_adj(Some(own));
        pass.warn(
            format!("process.oomScoreAdj: raised from {value} to {own}"),
            "it cannot be below that of the caller, who has no right to lower it",
        );
    }
    Ok(())
}
