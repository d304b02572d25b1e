//! [`Offender`]: a request to the heap that should not have been made, and where it came from.

use std::backtrace::Backtrace;
use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::counts::{Request, plural};

/// Requests of a measurement that are kept with their call stacks. All others are counted.
const KEPT: usize = 64;

/// Of these, requests of one kind and size: so that a loop doesn't hide everything else.
const KEPT_OF_A_KIND: usize = 8;

/// Requests after which none is kept any more.
const LOOKED_AT: u64 = 100_000;

/// Frames of a call stack that are printed.
const FRAMES_MAX: usize = 12;

/// The first requests to the heap of measured frames.
pub(crate) struct Offenders {
    seen: AtomicU64,
    kept: Mutex<Vec<Offender>>,
}

/// A request to the heap in a measured frame.
#[derive(Debug)]
pub struct Offender {
    request: Request,
    frame: u64,
    thread: String,
    stack: Stack,
}

impl Offenders {
    pub(crate) const fn new() -> Self {
        Self { seen: AtomicU64::new(0), kept: Mutex::new(Vec::new()) }
    }

    /// Records a request. The caller's own use of the heap is not counted.
    pub(crate) fn note(&self, request: Request, frame: u64, thread: &str) {
        if self.seen.fetch_add(1, Ordering::Relaxed) >= LOOKED_AT {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let alike = kept.iter().filter(|other| other.request == request).count();
        if kept.len() < KEPT && alike < KEPT_OF_A_KIND {
            let stack = Stack::Raw(Backtrace::force_capture());
            kept.push(Offender { request, frame, thread: thread.to_owned(), stack });
        }
    }

    pub(crate) fn clear(&self) {
        drop(self.take());
    }

    /// The requests that were kept, and how many there were.
    pub(crate) fn take(&self) -> (Vec<Offender>, u64) {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        (kept, self.seen.swap(0, Ordering::Relaxed))
    }
}

impl Offender {
    /// The request.
    pub fn request(&self) -> Request {
        self.request
    }

    /// The measured frame in which it was made, from 0.
    pub fn frame(&self) -> u64 {
        self.frame
    }

    /// The name of the thread that made it.
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// The functions that led to the request, the innermost first, each with its file and line where the
    /// program has them. Those of the allocator and of the standard library's start are left out.
    pub fn stack(&self) -> &[String] {
        match &self.stack {
            Stack::Named(frames) => frames,
            Stack::Raw(_) => &[],
        }
    }

    /// The function that made the request: the innermost that is not of the standard library.
    pub fn site(&self) -> &str {
        let own = self.stack().iter().find(|frame| !is_of_library(frame));
        own.or(self.stack().first()).map_or("an unknown function", String::as_str)
    }

    /// Looks the names of the functions up, which takes milliseconds.
    pub(crate) fn resolve(&mut self) {
        if let Stack::Raw(backtrace) = &self.stack {
            self.stack = Stack::Named(frames_of(&backtrace.to_string()));
        }
    }
}

impl fmt::Display for Offender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, frame, thread, .. } = self;
        let site = without_folder(self.site());
        write!(formatter, "{request} in frame {frame} on thread {thread:?}, by {site}")?;
        let own = self.stack().iter().position(|frame| !is_of_library(frame)).unwrap_or(0);
        // With the function of the library that it called.
        let mut frames =
            self.stack().iter().skip(own.saturating_sub(1)).filter(|each| !is_glue(each));
        for frame in frames.by_ref().take(FRAMES_MAX) {
            write!(formatter, "\n      {}", without_folder(frame))?;
        }
        match frames.count() {
            0 => Ok(()),
            more => write!(formatter, "\n      and {} below", plural(more as u64, "function")),
        }
    }
}

/// A call stack.
enum Stack {
    Raw(Backtrace),
    Named(Vec<String>),
}

impl fmt::Debug for Stack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw(_) => formatter.write_str("raw"),
            Self::Named(frames) => frames.fmt(formatter),
        }
    }
}

/// The functions of a printed backtrace, from the one that asked for memory to the one that the kit
/// called.
fn frames_of(backtrace: &str) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    for line in backtrace.lines() {
        let line = line.trim();
        if let Some(place) = line.strip_prefix("at ") {
            if let Some(frame) = frames.last_mut() {
                frame.push_str(" at ");
                frame.push_str(place);
            }
        } else if let Some((_, function)) = line.split_once(": ") {
            frames.push(function.to_owned());
        }
    }
    let is_hook = |frame: &String| {
        ["__rust_alloc", "__rustc::", "__rg_", "__rust_realloc", "__rust_dealloc", "__rdl_"]
            .iter()
            .any(|name| frame.contains(name))
            || ["allocator::", "offender::", "threads::"].iter().any(|module| {
                let frame = frame.trim_start_matches('<');
                frame.strip_prefix("convoy_profiling::").is_some_and(|at| at.starts_with(module))
            })
    };
    let first = frames.iter().take(16).rposition(is_hook).map_or(0, |at| at + 1);
    // Tables of lines have names without modules, and the files.
    let file = format!("/{}/src/steady.rs:", kit_folder());
    let is_of_test = |frame: &String| {
        frame.trim_start_matches('<').starts_with("convoy_profiling::steady")
            || frame.contains(&file)
    };
    let is_of_thread = |frame: &String| frame.contains("__rust_begin_short_backtrace");
    let is_start = |frame: &String| is_of_test(frame) || is_of_thread(frame);
    let end = frames[first..].iter().position(is_start).map_or(frames.len(), |at| first + at);
    let below = frames.split_off(end);
    let mut own = frames.split_off(first);
    if own.iter().all(|frame| is_of_library(frame)) {
        // Without debug information a small frame is a part of the function that runs it. The
        // function that runs the test is the nearest that has a name.
        let mut callers = below.into_iter().take_while(|frame| !is_of_thread(frame));
        own.extend(callers.find(|frame| !is_of_test(frame) && !is_of_library(frame)));
    }
    own
}

/// The folder of the kit's package: that of a checkout, or a registry's.
pub(crate) fn kit_folder() -> &'static str {
    let path = env!("CARGO_MANIFEST_DIR");
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Whether a function only calls another one.
fn is_glue(frame: &str) -> bool {
    ["::call_once", "catch_unwind", "__rust_try", "::do_call"]
        .iter()
        .any(|name| frame.contains(name))
}

/// A function whose file does not begin with the folder in which the standard library was built.
fn without_folder(frame: &str) -> Cow<'_, str> {
    match frame.split_once("/rustc/") {
        Some((before, file)) => {
            Cow::Owned(format!("{before}{}", file.split_once('/').map_or(file, |(_, file)| file)))
        }
        None => Cow::Borrowed(frame),
    }
}

/// Whether a function is of the standard library.
fn is_of_library(frame: &str) -> bool {
    // Its files are known even where the name begins with a type of the program's.
    if ["/rustc/", "/rustlib/src/rust/"].iter().any(|folder| frame.contains(folder)) {
        return true;
    }
    let function = frame.trim_start_matches(['<', '&', '*']);
    ["alloc::", "core::", "std::", "hashbrown::", "__rust"]
        .iter()
        .any(|name| function.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "   0: std::backtrace_rs::backtrace::libunwind::trace
             at /rustc/1/library/std/src/lib.rs:116:5
   1: convoy_profiling::offender::Offenders::note
   2: <convoy_profiling::allocator::Allocator<A> as core::alloc::GlobalAlloc>::alloc
   3: __rustc::__rust_alloc
   4: alloc::raw_vec::finish_grow
             at /rustc/1/library/alloc/src/raw_vec.rs:700:9
   5: game::step
             at ./src/game.rs:42:9
   6: game::main::{{closure}}
   7: convoy_profiling::steady::SteadyState::run
   8: std::sys::backtrace::__rust_begin_short_backtrace";

    #[test]
    fn stacks_begin_with_the_request_and_end_with_the_frame() {
        let frames = frames_of(PRINTED);
        let expected = [
            "alloc::raw_vec::finish_grow at /rustc/1/library/alloc/src/raw_vec.rs:700:9",
            "game::step at ./src/game.rs:42:9",
            "game::main::{{closure}}",
        ];
        assert_eq!(frames, expected);
        let request = Request::Allocation { bytes: 8 };
        let stack = Stack::Named(frames);
        let offender = Offender { request, frame: 3, thread: "main".to_owned(), stack };
        assert_eq!(offender.site(), "game::step at ./src/game.rs:42:9");
        let text = offender.to_string();
        assert!(
            text.starts_with("allocation of 8 bytes in frame 3 on thread \"main\", by game::step")
        );
    }

    #[test]
    fn functions_of_the_kit_are_no_offenders() {
        let printed = "   0: convoy_profiling::offender::Offenders::note
   1: convoy_profiling::threads::Member::note
   2: game::step
   3: core::ops::function::impls::<impl core::ops::function::FnMut<A> for &mut F>::call_once
             at /rustc/1/library/core/src/ops/function.rs:1:1
   4: convoy_profiling::steady::SteadyState::run";
        let stack = Stack::Named(frames_of(printed));
        let request = Request::Allocation { bytes: 1 };
        let offender = Offender { request, frame: 0, thread: "main".to_owned(), stack };
        let printed = offender.to_string();
        let first = "allocation of 1 byte in frame 0 on thread \"main\", by game::step";
        assert_eq!(printed.lines().collect::<Vec<_>>(), [first, "      game::step"]);
        let library = without_folder("core::mem::take at /rustc/59807/library/core/src/mem.rs:1:2");
        assert_eq!(library, "core::mem::take at library/core/src/mem.rs:1:2");
    }

    #[test]
    fn tables_of_lines_are_enough_to_end_a_stack() {
        let folder = kit_folder();
        let printed = format!(
            "   0: alloc<dhat::Alloc>
             at /home/{folder}/src/allocator.rs:63:25
   1: __rustc::__rust_alloc
   2: step
             at ./src/game.rs:42:9
   3: {{closure#0}}<game::main::{{closure_env#1}}>
             at /home/{folder}/src/steady.rs:123:44
   4: main
             at ./src/main.rs:10:50"
        );
        assert_eq!(frames_of(&printed), ["step at ./src/game.rs:42:9"]);
    }

    #[test]
    fn a_frame_that_is_a_part_of_the_kit_is_named_by_its_test() {
        let printed = "   0: convoy_profiling::offender::Offenders::note
   1: __rustc::__rust_alloc
   2: alloc::raw_vec::finish_grow
   3: convoy_profiling::steady::SteadyState::run
   4: core::ops::function::FnOnce::call_once
   5: game::tests::a_step_allocates_nothing
   6: std::sys::backtrace::__rust_begin_short_backtrace
   7: start_thread";
        let expected = ["alloc::raw_vec::finish_grow", "game::tests::a_step_allocates_nothing"];
        assert_eq!(frames_of(printed), expected);
        let of_a_worker = printed.replace("game::", "std::");
        assert_eq!(frames_of(&of_a_worker), expected[..1]);
    }

    #[test]
    fn a_loop_hides_no_other_requests() {
        let offenders = Offenders::new();
        for _ in 0..1_000 {
            offenders.note(Request::Allocation { bytes: 8 }, 0, "loud");
        }
        offenders.note(Request::Allocation { bytes: 16 }, 1, "quiet");
        let (kept, seen) = offenders.take();
        assert_eq!((kept.len(), seen), (KEPT_OF_A_KIND + 1, 1_001));
        assert_eq!(kept[KEPT_OF_A_KIND].thread(), "quiet");
    }

    #[test]
    fn a_stack_without_names_is_an_unknown_function() {
        assert_eq!(frames_of(""), Vec::<String>::new());
        let stack = Stack::Named(Vec::new());
        let request = Request::Free { bytes: 1 };
        let offender = Offender { request, frame: 0, thread: String::new(), stack };
        assert_eq!(offender.site(), "an unknown function");
    }
}
