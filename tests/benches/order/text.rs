//! The code of a program in a traced process, and the breakpoints in it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::unistd::Pid;

/// `int3`: the processor stops after it.
const BREAKPOINT: u8 = 0xcc;

/// The executable part of a program, which is at the same addresses in every process.
#[derive(Debug)]
pub(crate) struct Text {
    start: usize,
    original: Vec<u8>,
    functions: HashMap<usize, String>,
}

impl Text {
    /// Reads it from a process that has just executed `program`. The file `symbols` has the format of `nm
    /// --format=posix`: the name, type and value of each symbol.
    pub(crate) fn of(pid: Pid, program: &Path, symbols: &Path) -> Result<Self> {
        // address-address perms offset device inode path (proc_pid_maps(5))
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let range = maps.lines().filter(|line| line.ends_with(&*program.to_string_lossy()));
        let mut range = range.filter_map(|line| line.split_once(" r-xp ")?.0.split_once('-'));
        let (start, end) = range.next().expect("a program has code");
        let number = |hex| usize::from_str_radix(hex, 16).expect("a hexadecimal number");
        let (start, end) = (number(start), number(end));
        let mut original = vec![0; end - start];
        memory(pid)?.read_exact_at(&mut original, start as u64)?;

        let mut functions = HashMap::new();
        for line in fs::read_to_string(symbols)?.lines() {
            let words: Vec<_> = line.split(' ').collect();
            // Functions of the program, of other objects, replaceable ones, and those that select another.
            if let [name, "t" | "T" | "w" | "W" | "i", value, ..] = words[..]
                && (start..end).contains(&number(value))
            {
                functions.insert(number(value), name.to_owned());
            }
        }
        Ok(Self { start, original, functions })
    }

    /// Puts a breakpoint at the beginning of every function.
    pub(crate) fn arm(&self, pid: Pid) -> Result<()> {
        let mut armed = self.original.clone();
        for address in self.functions.keys() {
            armed[address - self.start] = BREAKPOINT;
        }
        memory(pid)?.write_all_at(&armed, self.start as u64)
    }

    /// Removes the breakpoint at `address`, if there is one; returns the function's name.
    pub(crate) fn pass(&self, pid: Pid, address: usize) -> Result<Option<&str>> {
        let Some(name) = self.functions.get(&address) else { return Ok(None) };
        let byte = self.original[address - self.start];
        memory(pid)?.write_all_at(&[byte], address as u64)?;
        Ok(Some(name))
    }

    /// Removes all breakpoints.
    pub(crate) fn disarm(&self, pid: Pid) -> Result<()> {
        memory(pid)?.write_all_at(&self.original, self.start as u64)
    }
}

/// The memory of a traced process, in which even read-only pages can be written (`proc_pid_mem(5)`).
fn memory(pid: Pid) -> Result<File> {
    OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"))
}
