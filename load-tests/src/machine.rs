//! What the machine says about processes: CPU time, memory, limits, which cores. Linux `/proc` only.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::error::LoadError;
use crate::figures::to_f64;

/// The kernel reports CPU time in these units on every Linux platform that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processes of a run besides this one, whose use must not count as other processes' use.
#[derive(Debug, Clone, Copy, Default)]
pub struct Processes {
    /// The server.
    pub server: Option<u32>,
    /// The database server that keeps its data, whose children count with it.
    pub database: Option<u32>,
    /// A raw fan-out beside a load.
    pub fan_out: Option<u32>,
}

/// CPU use over a window, in cores.
#[derive(Debug, Clone, Default)]
pub struct CpuUse {
    /// The server process.
    pub server: Option<f64>,
    /// The database server's processes, where the server keeps its data in one.
    pub database: Option<f64>,
    /// The raw fan-out, where one is beside the load.
    pub fan_out: Option<f64>,
    /// This process.
    pub client: f64,
    /// Everything else on the machine, including a server whose process is not known.
    pub others: f64,
    /// Time that the hypervisor gave to other machines while this one had work.
    pub stolen: f64,
}

/// CPU counters at the start of a window.
#[derive(Debug)]
pub struct CpuMeter {
    at: Instant,
    processes: Processes,
    server_ticks: Option<u64>,
    database_ticks: Option<u64>,
    fan_out_ticks: Option<u64>,
    client_ticks: u64,
    machine: MachineTicks,
}

impl CpuMeter {
    /// Reads the counters now. Without a server's process id, the server counts as other use.
    pub fn start(processes: Processes) -> Self {
        Self {
            at: Instant::now(),
            processes,
            server_ticks: processes.server.and_then(process_ticks),
            database_ticks: processes.database.map(family_ticks),
            fan_out_ticks: processes.fan_out.and_then(process_ticks),
            client_ticks: process_ticks(std::process::id()).unwrap_or(0),
            machine: machine_ticks().unwrap_or_default(),
        }
    }

    /// The use since the start.
    pub fn stop(self) -> CpuUse {
        let now = Self::start(self.processes);
        let seconds = (now.at - self.at).as_secs_f64();
        let cores = |after: u64, before: u64| to_f64(after.saturating_sub(before)) / TICKS_PER_SECOND / seconds;
        let used = |before: Option<u64>, after| before.zip(after).map(|(before, after)| cores(after, before));
        let server = used(self.server_ticks, now.server_ticks);
        let database = used(self.database_ticks, now.database_ticks);
        let fan_out = used(self.fan_out_ticks, now.fan_out_ticks);
        let known: f64 = [server, database, fan_out].into_iter().flatten().sum();
        let client = cores(now.client_ticks, self.client_ticks);
        let machine = cores(now.machine.busy, self.machine.busy);
        CpuUse {
            server,
            database,
            fan_out,
            client,
            others: (machine - client - known).max(0.0),
            stolen: cores(now.machine.stolen, self.machine.stolen),
        }
    }
}

/// Resident memory of a process in KiB.
///
/// # Errors
/// There is no such process.
pub fn resident_kib(process: u32) -> Result<u64, LoadError> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).map_err(LoadError::io(format!("read {path}")))?;
    let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = field.and_then(|field| field.trim().strip_suffix(" kB")?.parse().ok());
    kib.ok_or_else(|| LoadError::Setup(format!("{path} has no VmRSS")))
}

/// The first digits of the SHA-256 of the file that a process runs, even if it was rebuilt since; `None` if it may not
/// be read.
pub fn program_digest(process: u32) -> Option<String> {
    let program = fs::read(format!("/proc/{process}/exe")).ok()?;
    Some(Sha256::digest(program).iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// How many files this process (and a server that it starts) may have open.
pub fn open_files_max() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Files that each of the two processes has open besides the sockets.
const OTHER_FILES: u64 = 150;

/// Checks that this process (and a server that it starts) may have this many sockets open.
///
/// # Errors
/// The limit is too low; the error says what to do.
pub fn require_open_files(sockets: u64) -> Result<(), LoadError> {
    let needed = sockets + OTHER_FILES;
    match open_files_max() {
        Some(limit) if limit < needed => Err(LoadError::Setup(format!(
            "{needed} open files are needed and {limit} allowed: run `ulimit -n {needed}` in this shell first"
        ))),
        _ => Ok(()),
    }
}

/// Whether this process was started so that it ignores the hangup of its terminal, as by `nohup`.
pub fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The lowest bit is for signal 1.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// The core list of this process as the kernel writes it, as in `0-1`.
pub fn allowed_cores() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    Some(list.trim().to_owned())
}

/// Moves all threads of a process to these cores with the system's `taskset`; says whether that worked.
pub fn pin(process: u32, cores: &str) -> bool {
    let mut command = Command::new("taskset");
    command.args(["-a", "-c", "-p", cores, &process.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// User and system time of a live process, all threads.
fn process_ticks(process: u32) -> Option<u64> {
    ticks(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// The same for a process and its live children.
fn family_ticks(process: u32) -> u64 {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    children.chain([process]).filter_map(process_ticks).sum()
}

/// Fields 14 and 15 of a `stat` line; the name before them may contain spaces and parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[derive(Debug, Clone, Copy, Default)]
struct MachineTicks {
    /// User, nice, system, interrupt and soft interrupt time.
    busy: u64,
    stolen: u64,
}

fn machine_ticks() -> Option<MachineTicks> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, interrupt, soft_interrupt, stolen, ..] = fields[..] else { return None };
    Some(MachineTicks { busy: user + nice + system + interrupt + soft_interrupt, stolen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 17 5 0 0 20 0 3 0 1 1 1";
        assert_eq!(ticks(stat), Some(22));
    }

    #[test]
    fn this_process_has_memory_limits_and_cores() {
        assert!(resident_kib(std::process::id()).unwrap() > 100);
        assert!(open_files_max().unwrap() > 10);
        assert!(allowed_cores().unwrap().starts_with(|first: char| first.is_ascii_digit()));
        assert!(resident_kib(u32::MAX).is_err());
    }

    #[test]
    fn a_raw_fan_out_beside_a_load_is_none_of_the_others() {
        let mut child = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let process = child.id();
        let blind = CpuMeter::start(Processes::default());
        let meter = CpuMeter::start(Processes { fan_out: Some(process), ..Processes::default() });
        while process_ticks(process).unwrap() < 20 {
            std::thread::yield_now();
        }
        let (known, others) = (meter.stop(), blind.stop().others);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(known.fan_out > Some(0.0) && known.others < others, "{known:?}, {others}");
    }
}
