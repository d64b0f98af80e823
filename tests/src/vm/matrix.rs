//! The integration tests in one machine of each kind: architectures and kernels.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::integration::{QUICK, RESULTS, outcome};
use super::machine::results;
use crate::{bounded, source};

/// A machine, and what of the tests it runs.
struct Place {
    /// By Debian's name.
    architecture: &'static str,
    /// The release of Debian that its kernel is from.
    kernel: &'static str,
    /// The security module, as `ROOTLING_VM_LSM` names it; empty for the usual one.
    module: &'static str,
    /// All runs where none is named.
    runs: &'static [&'static str],
    /// The patterns of the test files; those of each run where there are none.
    files: &'static str,
}

/// The kernels that people have. Below the oldest that rootling works with there is one that it has to refuse.
const PLACES: &[Place] = &[
    Place {
        architecture: "amd64",
        kernel: "bullseye",
        module: "",
        runs: &["user-delegated", "root"],
        files: "old_kernel",
    },
    Place { architecture: "amd64", kernel: "bookworm", module: "", runs: &[], files: "" },
    Place { architecture: "amd64", kernel: "trixie", module: "", runs: &[], files: "" },
    Place { architecture: "amd64", kernel: "sid", module: "", runs: &[], files: "" },
    Place {
        architecture: "amd64",
        kernel: "trixie",
        module: "selinux",
        runs: &["user-delegated", "root"],
        files: LABELLED,
    },
    Place {
        architecture: "amd64",
        kernel: "trixie",
        module: "selinux-enforcing",
        runs: &["user-delegated", "root"],
        files: LABELLED,
    },
    Place { architecture: "arm64", kernel: "trixie", module: "", runs: &[], files: "" },
];

/// The test files for which it matters that files and programs have labels.
const LABELLED: &str =
    "selinux attack_proc cgroup exec exec_process hooks lifecycle mounts process run terminal";

/// Runs the tests in all machines, or in those whose `ARCHITECTURE-KERNEL` or
/// `ARCHITECTURE-KERNEL-MODULE` is named, and prints the table. Whether all was well.
pub fn run_matrix(names: &[String]) -> Result<bool, String> {
    let chosen = chosen(names)?;
    let all = results("vm-matrix")?;
    let mut well = true;
    for place in &chosen {
        println!("\n=== {}", place.name());
        well &= place.carry_out(&all.join(place.name()))?;
    }
    println!("\n{HEAD}");
    chosen.iter().flat_map(|place| place.rows(&all.join(place.name()))).for_each(|row| println!("{row}"));
    Ok(well)
}

const HEAD: &str =
    "| architecture | kernel of Debian | caller | passed | failed | skipped |\n|---|---|---|---|---|---|";

fn chosen(names: &[String]) -> Result<Vec<&'static Place>, String> {
    if names.is_empty() {
        return Ok(PLACES.iter().collect());
    }
    let find = |name: &String| {
        PLACES.iter().find(|place| place.name() == *name).ok_or_else(|| {
            let known: Vec<String> = PLACES.iter().map(Place::name).collect();
            format!("no machine is called {name:?}; there are {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}

impl Place {
    fn name(&self) -> String {
        format!("{}-{}", self.architecture, self.kernel_and_module())
    }

    fn kernel_and_module(&self) -> String {
        if self.module.is_empty() {
            self.kernel.to_owned()
        } else {
            format!("{}-{}", self.kernel, self.module)
        }
    }

    /// In a process of its own, as the machine is chosen by the environment.
    fn carry_out(&self, results: &Path) -> Result<bool, String> {
        std::fs::create_dir_all(results).map_err(|error| format!("make {}: {error}", results.display()))?;
        let program = env::current_exe().map_err(|error| format!("find this program: {error}"))?;
        let mut tests = Command::new(program);
        tests.arg("tests").args(self.runs).stdin(Stdio::null());
        tests.env("ROOTLING_VM_ARCH", self.architecture).env("ROOTLING_VM_KERNEL", self.kernel);
        tests.env(RESULTS, results).env("ROOTLING_BIN", self.rootling());
        // A system container has this machine's kernel.
        tests.env_remove(QUICK);
        if self.module.is_empty() {
            tests.env_remove("ROOTLING_VM_LSM");
        } else {
            tests.env("ROOTLING_VM_LSM", self.module);
        }
        if !self.files.is_empty() {
            tests.env("ROOTLING_VM_TESTS", self.files);
        }
        Ok(bounded::run(&mut tests, Duration::from_hours(3))? == 0)
    }

    /// What `make build` has built for it.
    fn rootling(&self) -> PathBuf {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| source("target"), PathBuf::from);
        if self.architecture == crate::image::architecture() {
            target.join("rootling")
        } else {
            target.join(self.architecture).join("rootling")
        }
    }

    fn rows(&self, results: &Path) -> Vec<String> {
        let row = |(run, [passed, failed, skipped]): (&str, [usize; 3])| {
            let kernel = self.kernel_and_module();
            format!("| {} | {kernel} | {run} | {passed} | {failed} | {skipped} |", self.architecture)
        };
        outcome(results).into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_chosen_by_name_and_have_rows() {
        assert_eq!(chosen(&[]).expect("all").len(), PLACES.len());
        let arm = chosen(&["arm64-trixie".to_owned()]).expect("one")[0];
        assert!(chosen(&["arm64".to_owned()]).is_err_and(|why| why.contains("amd64-bookworm")));
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("root")).expect("make a directory");
        std::fs::write(dir.path().join("root/summary"), "a\t3\t0\t1\n").expect("write");
        assert_eq!(arm.rows(dir.path()), ["| arm64 | trixie | root | 3 | 0 | 1 |"]);
    }
}
