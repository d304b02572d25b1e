//! Tests that run alone in a process of their own: the bugs that they guard against would end it.

use std::process::Command;

/// Runs an ignored test of this program in a process of its own, which may use `memory_kib` KiB of
/// address space if that is given. Returns its output; an error when it failed or was killed.
pub fn run_alone(test: &str, memory_kib: Option<usize>) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let limit = memory_kib.map_or_else(|| "unlimited".to_owned(), |kib| kib.to_string());
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v \"$0\" && exec \"$@\"", &limit]).arg(program);
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    let output = command.env("RUST_BACKTRACE", "0").output().map_err(|error| error.to_string())?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if output.status.success() && text.contains("1 passed") {
        Ok(text)
    } else {
        Err(format!("{test}: {}\n{text}", output.status))
    }
}
