//! The runs, which say which scenarios belong together.

use std::path::Path;

use super::{Facts, Group, Selection, Session, Step, containerd, deb, docker, podman, setup};

/// The caller of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Root.
    Root,
    /// An ordinary user.
    Ordinary,
}

#[derive(Clone, Copy, Debug)]
enum Engine {
    /// podman and buildah, with this cgroup manager.
    Podman(&'static str),
    Docker,
    Containerd,
    /// All engines, with the package.
    Deb,
}

/// An engine with a caller and a configuration.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Its name.
    pub name: &'static str,
    /// The user who calls it.
    pub user: User,
    engine: Engine,
    /// The groups of scenarios that it runs by default.
    groups: &'static [&'static str],
}

/// All runs.
#[rustfmt::skip]
pub const RUNS: &[Run] = &[
    // On a machine with nothing else of rootling: the package's program is the only one in PATH.
    Run { name: "deb", user: User::Root, engine: Engine::Deb, groups: &[
        "first", "with_podman", "with_podman_of_root", "with_docker_of_a_user", "with_containerd_of_a_user", "with_docker",
        "with_containerd", "gone"] },
    Run { name: "podman", user: User::Ordinary, engine: Engine::Podman("systemd"), groups: &[
        "run", "privileges", "networks", "limits", "lifecycle", "execs", "own", "pods", "kube", "units", "build", "nested"] },
    Run { name: "podman-cgroupfs", user: User::Ordinary, engine: Engine::Podman("cgroupfs"), groups: &[
        "run", "privileges", "networks", "limits", "lifecycle", "execs", "own", "pods", "kube", "units", "build"] },
    Run { name: "podman-root", user: User::Root, engine: Engine::Podman("systemd"), groups: &[
        "run", "privileges", "networks", "limits", "lifecycle", "execs", "own", "build"] },
    Run { name: "docker", user: User::Root, engine: Engine::Docker, groups: &[
        "run", "privileges", "networks", "limits", "lifecycle", "execs", "build", "health", "restart", "many", "nested", "remap"] },
    Run { name: "docker-rootless", user: User::Ordinary, engine: Engine::Docker, groups: &[
        "run", "privileges", "networks", "limits", "lifecycle", "execs", "build", "health", "restart", "many", "nested"] },
    Run { name: "containerd", user: User::Root, engine: Engine::Containerd, groups: &[
        "run", "lifecycle", "restart", "many"] },
    Run { name: "containerd-rootless", user: User::Ordinary, engine: Engine::Containerd, groups: &[
        "run", "lifecycle", "restart", "many"] },
];

impl Run {
    /// The run with this name.
    pub fn named(name: &str) -> Result<&'static Self, String> {
        RUNS.iter().find(|run| run.name == name).ok_or_else(|| {
            let names: Vec<&str> = RUNS.iter().map(|run| run.name).collect();
            format!("no run is called {name:?}; there are {}", names.join(", "))
        })
    }

    /// The run of an engine whose user is the caller.
    pub fn of_caller(engine: &str) -> Result<&'static Self, String> {
        let user = if setup::facts().root { User::Root } else { User::Ordinary };
        let is_meant = |run: &&Self| run.user == user && run.name.split('-').next() == Some(engine);
        RUNS.iter()
            .find(is_meant)
            .ok_or_else(|| format!("no engine is called {engine:?}; there are podman and docker"))
    }

    /// Whether a system container shows all of it that needs no whole machine. containerd gives limits to each of root's
    /// containers.
    pub fn works_in_a_system_container(&self) -> bool {
        self.user == User::Ordinary || matches!(self.engine, Engine::Podman(_) | Engine::Docker)
    }

    /// Whether it tests the package rather than a runtime.
    pub fn is_of_the_package(&self) -> bool {
        matches!(self.engine, Engine::Deb)
    }

    /// Runs the scenarios of some groups, or of all if none is named, with a runtime or with a package. Returns
    /// whether everything was well.
    pub fn carry_out(&self, subject: &Path, groups: &[String], selection: Selection) -> Result<bool, String> {
        let groups = self.groups(groups)?;
        let caller = setup::facts();
        if caller.root != (self.user == User::Root) {
            return Err(format!("{} is a run of {}: call it as that", self.name, self.user.in_words()));
        }
        let mut session = self.session(subject, selection)?;
        session.run(&groups)?;
        Ok(session.summary(&self.label(subject, caller)))
    }

    /// The groups with these names, between the first and the last one.
    fn groups(&self, names: &[String]) -> Result<Vec<Group>, String> {
        let all = self.all_groups();
        let wanted: Vec<&str> =
            if names.is_empty() { self.groups.to_vec() } else { names.iter().map(String::as_str).collect() };
        let find = |name: &str| all.iter().find(|group| group.name == name).copied();
        let mut groups: Vec<Group> = find("image").into_iter().collect();
        for name in wanted {
            groups.push(find(name).ok_or_else(|| {
                let known: Vec<&str> = all.iter().map(|group| group.name).collect();
                format!("{} has no scenarios called {name:?}; there are {}", self.name, known.join(", "))
            })?);
        }
        groups.extend(find("left"));
        Ok(groups)
    }

    fn all_groups(&self) -> &'static [Group] {
        match self.engine {
            Engine::Podman(_) => podman::GROUPS,
            Engine::Docker => docker::GROUPS,
            Engine::Containerd => containerd::GROUPS,
            Engine::Deb => deb::GROUPS,
        }
    }

    fn session(&self, subject: &Path, selection: Selection) -> Result<Session, String> {
        match self.engine {
            Engine::Podman(manager) => podman::session(subject, manager, selection),
            Engine::Docker => docker::session(subject, selection),
            Engine::Containerd => containerd::session(subject, selection),
            Engine::Deb => deb::session(subject, selection),
        }
    }

    /// The beginning of the last line.
    fn label(&self, subject: &Path, caller: Facts) -> String {
        let runtime = subject.file_name().unwrap_or_default().display();
        let rootless = if caller.root { "" } else { " rootless" };
        match self.engine {
            Engine::Podman(manager) => format!("podman {manager} {runtime}"),
            Engine::Docker => format!("docker{rootless} {runtime}"),
            Engine::Containerd => format!("containerd{rootless} {runtime}"),
            Engine::Deb => "deb".to_owned(),
        }
    }

    /// The scenarios that it runs, each with its group. If that depends on the engine, the engine is assumed to
    /// confine containers.
    pub fn scenarios(&self) -> Vec<(&'static str, Step)> {
        let root = self.user == User::Root;
        let host_network = root || !matches!(self.engine, Engine::Docker);
        let facts = Facts { root, host_network, apparmor: true, machine: true };
        let groups = self.groups(&[]).unwrap_or_default();
        let of = |group: &Group| {
            let name = group.name;
            Step::scenarios(group.steps, facts).into_iter().map(move |step| (name, step))
        };
        groups.iter().flat_map(of).collect()
    }
}

impl User {
    /// The login name of the user in the virtual machine.
    pub fn login(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Ordinary => "rootling",
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Ordinary => "an ordinary user",
        }
    }
}

#[cfg(test)]
mod tests {
    use regex_lite::Regex;

    use super::*;

    #[test]
    fn each_run_has_its_groups_and_all_that_is_expected_is_a_regular_expression() {
        for run in RUNS {
            let groups = run.groups(&[]).expect("groups");
            assert!(groups.len() > run.groups.len(), "{}: nothing prepares the others", run.name);
            for (group, step) in run.scenarios() {
                let (Step::Check { name, expected, .. }
                | Step::Soon { name, expected, .. }
                | Step::Also { name, expected }) = step
                else {
                    panic!("{}: {group}: no scenario: {step:?}", run.name);
                };
                assert!(Regex::new(expected).is_ok(), "{}: {group}: {name}: {expected}", run.name);
            }
        }
    }

    #[test]
    fn a_group_that_is_not_there_is_refused_with_those_that_are() {
        let run = Run::named("containerd").expect("a run");
        let error = run.groups(&["pods".to_owned()]).expect_err("no such group");
        assert!(error.contains(r#""pods""#) && error.contains("lifecycle, restart, many"), "{error}");
        let names: Vec<&str> =
            run.groups(&["many".to_owned()]).expect("groups").iter().map(|group| group.name).collect();
        assert_eq!(names, ["image", "many", "left"]);
    }

    #[test]
    fn what_is_only_for_some_callers_is_in_their_runs_alone() {
        let has = |run: &str, wanted: &str| {
            let scenarios = Run::named(run).expect("a run").scenarios();
            scenarios.iter().any(|(_, step)| matches!(step, Step::Check { name, .. } | Step::Also { name, .. } if *name == wanted))
        };
        assert!(has("podman", "--userns keep-id") && !has("podman-root", "--userns keep-id"));
        assert!(has("docker", "--net host") && !has("docker-rootless", "--net host"));
        assert!(has("docker", "default: AppArmor too") && !has("docker-rootless", "default: AppArmor too"));
    }
}
