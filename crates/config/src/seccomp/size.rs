//! A lower bound for the length of a profile's program, computed without compiling it: libseccomp's time grows with
//! the square of the number of rules, and the kernel does not accept long programs anyway.

use std::collections::{HashMap, HashSet};

use libseccomp::ScmpSyscall;
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompArg, LinuxSeccompOperator};

use super::profile::rules;

/// A comparison that takes one instruction. Opposite comparisons are the same one with the jumps swapped.
type Comparison = (usize, u8, u64, u64);

/// The smallest number of instructions that the rules of a profile need. Up to `most`, it is not computed exactly.
pub(super) fn least_instructions(profile: &LinuxSeccomp, most: usize) -> usize {
    let all =
        rules(profile).iter().map(|rule| rule.names().len() * rule.args().iter().flatten().count().max(1));
    let sum: usize = all.sum();
    if sum <= most {
        return sum;
    }
    let mut conditions: HashMap<(&str, String), HashSet<Vec<Comparison>>> = HashMap::new();
    for rule in rules(profile).iter().filter(|rule| rule.action() != profile.default_action()) {
        let comparisons = comparisons(rule.args().iter().flatten());
        for name in rule.names() {
            let of_call = conditions.entry((name, rule.action().to_string())).or_default();
            of_call.extend(comparisons.iter().cloned());
        }
    }
    let known = |name: &str| ScmpSyscall::from_name(name).is_ok();
    let of_call = |all: &HashSet<Vec<Comparison>>| all.iter().filter(|one| !has_part(all, one)).count();
    conditions.iter().filter(|((name, _), _)| known(name)).map(|(_, all)| of_call(all)).sum()
}

/// The comparisons of each rule that libseccomp gets: one rule for all conditions or, if an argument is checked
/// twice, one for each.
fn comparisons<'a>(args: impl Iterator<Item = &'a LinuxSeccompArg>) -> Vec<Vec<Comparison>> {
    let mut all: Vec<Comparison> = args.map(comparison).collect();
    all.sort_unstable();
    if all.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return all.into_iter().map(|one| vec![one]).collect();
    }
    vec![all]
}

fn comparison(arg: &LinuxSeccompArg) -> Comparison {
    let (kind, mask, value) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpEq | LinuxSeccompOperator::ScmpCmpNe => (0, u64::MAX, arg.value()),
        LinuxSeccompOperator::ScmpCmpGe | LinuxSeccompOperator::ScmpCmpLt => (1, u64::MAX, arg.value()),
        LinuxSeccompOperator::ScmpCmpGt | LinuxSeccompOperator::ScmpCmpLe => (2, u64::MAX, arg.value()),
        LinuxSeccompOperator::ScmpCmpMaskedEq => (0, arg.value(), arg.value_two().unwrap_or(0) & arg.value()),
    };
    (arg.index(), kind, mask, value)
}

/// Whether another rule for the call says the same with fewer conditions: libseccomp keeps only that one.
fn has_part(all: &HashSet<Vec<Comparison>>, one: &[Comparison]) -> bool {
    let parts = 0..(1_u32 << one.len()) - 1;
    parts.into_iter().any(|bits| {
        let part: Vec<Comparison> =
            one.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, one)| *one).collect();
        all.contains(&part)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    use serde_json::{Value, json};

    use super::super::tests::profile;
    use super::super::{SeccompError, bpf, compile};
    use super::*;

    fn rule() -> impl Strategy<Value = Value> {
        let operator = proptest::sample::select(vec![
            "SCMP_CMP_EQ",
            "SCMP_CMP_NE",
            "SCMP_CMP_LT",
            "SCMP_CMP_LE",
            "SCMP_CMP_GT",
            "SCMP_CMP_GE",
            "SCMP_CMP_MASKED_EQ",
        ]);
        let condition = (0..3_usize, operator, 0..4_u64, 0..4_u64).prop_map(
            |(index, op, value, two)| json!({"index": index, "op": op, "value": value, "valueTwo": two}),
        );
        let name = proptest::sample::select(vec!["read", "write", "no-such-call"]);
        let action = proptest::sample::select(vec!["SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW"]);
        (name, action, proptest::collection::vec(condition, 0..3))
            .prop_map(|(name, action, args)| json!({"names": [name], "action": action, "args": args}))
    }

    /// Always the same cases: for others, libseccomp 2.5.4 may never terminate.
    #[test]
    fn no_program_is_shorter() {
        let config = Config::with_cases(256);
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let is_longer = |rules: Vec<Value>| {
            let profile = profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
            if let Ok(Some(program)) = compile(&profile) {
                prop_assert!(least_instructions(&profile, 0) <= program.bpf.len() / bpf::SIZE);
            }
            Ok(())
        };
        runner.run(&proptest::collection::vec(rule(), 0..40), is_longer).unwrap();
    }

    #[test]
    fn more_rules_than_the_kernel_takes_are_refused_before_they_are_compiled() {
        let conditions = |n: u64| json!([{"index": 2, "op": "SCMP_CMP_EQ", "value": n}]);
        let rules = |count| -> Vec<Value> {
            let rule = |n| json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": conditions(n)});
            (0..count).map(rule).collect()
        };
        let of = |rules| profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
        let error = compile(&of(rules(100_000))).unwrap_err();
        assert_eq!(error, SeccompError::TooManyRules(100_000));
        // What another rule already says takes no instruction.
        let mut all = rules(100_000);
        all.push(json!({"names": ["read"], "action": "SCMP_ACT_ERRNO"}));
        assert_eq!(least_instructions(&of(all), bpf::MAX), 1);
        assert_eq!(least_instructions(&of([rules(5000), rules(5000)].concat()), 4999), 5000);
    }
}
