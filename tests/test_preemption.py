"""SIGTERM as it is seen by `Preemption`: real signals, each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals between processes")

PATIENCE = 20.0
"""Seconds after which a process counts as one that hangs."""

START = """
import faulthandler, logging, os, signal, sys, threading, time
from oaml_callbacks.preemption import Preemption

def say(*words):
    os.write(1, (" ".join(str(word) for word in words) + "\\n").encode())

def term():
    os.kill(os.getpid(), signal.SIGTERM)

def earlier(signum, frame):
    say("earlier", signum, frame is not None)

def settle(seconds=0.2):
    time.sleep(seconds)  # for the thread that was started at the signal

"""


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit status, lines said, seconds it took, standard error."""

    status: int
    said: list[str]
    seconds: float
    errors: str


def run(script: str) -> Ended:
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", START + script], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return Ended(done.returncode, done.stdout.splitlines(), time.monotonic() - begun, done.stderr)


KILLED = -signal.SIGTERM


# Where there was no handler ----------------------------------------------------------------------------------------


def test_a_process_that_sigterm_would_kill_dies_of_it_after_it_was_told() -> None:
    """Both callables run, in their order and in one other thread, and the exit status is SIGTERM's."""
    ended = run("""
where = []
def on_signal():
    where.append(threading.get_ident())
    say("told", threading.current_thread() is threading.main_thread())
def before_death(seconds):
    say("last", 2.5 < seconds <= 3.0, where == [threading.get_ident()])
Preemption(on_signal, before_death=before_death, grace=3.0).watch()
term()
say("still here")
""")
    assert (ended.status, ended.said) == (KILLED, ["told False", "last True True"])
    assert ended.seconds < 2.5  # it does not sit out the grace


def test_a_signal_from_another_process_ends_a_sleep() -> None:
    """The main thread needn't run Python code of its own for the handler to be called."""
    process = subprocess.Popen(
        [sys.executable, "-c", START + "Preemption(lambda: say('told')).watch(); say('ready'); time.sleep(60)"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "told\n"
        assert process.wait(PATIENCE) == KILLED


def test_a_stuck_callable_holds_no_longer_than_the_grace() -> None:
    """`on_signal` that never returns delays the death by `grace`, and no more."""
    ended = run("""
Preemption(lambda: time.sleep(60), grace=0.6).watch()
begun = time.monotonic()
signal.signal(signal.SIGALRM, signal.SIG_DFL)
signal.setitimer(signal.ITIMER_REAL, 2.0)  # would end it with another status
term()
""")
    assert ended.status == KILLED
    assert ended.seconds >= 0.6


def test_a_lock_that_the_interrupted_code_holds_does_not_hang_the_process() -> None:
    """The callable can't get the lock while the handler waits for it: the grace ends that."""
    ended = run("""
lock = threading.Lock()
def on_signal():
    with lock:
        say("never")
Preemption(on_signal, grace=0.3).watch()
with lock:
    term()
""")
    assert (ended.status, ended.said) == (KILLED, [])


def test_code_of_threading_itself_can_be_interrupted() -> None:
    """With the lock held that `threading.Thread` needs to start, the callable is called all the same."""
    ended = run("""
Preemption(lambda: say("told"), grace=5.0).watch()
with threading._active_limbo_lock:
    term()
""")
    assert (ended.status, ended.said) == (KILLED, ["told"])
    assert ended.seconds < 4


def test_a_second_signal_does_not_cut_the_last_seconds_short() -> None:
    """A launcher passes on SIGTERM to a process that had it already; what was begun is ended all the same."""
    ended = run("""
def before_death(seconds):
    term()
    time.sleep(0.3)
    say("done")
Preemption(lambda: say("told"), before_death=before_death).watch()
term()
""")
    assert (ended.status, ended.said) == (KILLED, ["told", "done"])


def test_a_release_in_the_last_seconds_does_not_let_a_second_signal_cut_them_short() -> None:
    """Finishing the run may release the watch, from the other thread."""
    ended = run("""
def before_death(seconds):
    watch.release()
    term()
    time.sleep(0.3)
    say("done")
watch = Preemption(lambda: None, before_death=before_death)
watch.watch()
term()
""")
    assert (ended.status, ended.said) == (KILLED, ["done"])


def test_ctrl_c_ends_the_wait() -> None:
    """Whoever has no patience needn't wait for the grace."""
    ended = run("""
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in a shell's background ignores it
Preemption(lambda: os.kill(os.getpid(), signal.SIGINT) or time.sleep(60), grace=15.0).watch()
term()
""")
    assert ended.status == KILLED
    assert ended.seconds < 10


def test_a_callable_that_fails_is_warned_of_and_changes_nothing() -> None:
    """What comes after it is still done, the process dies of SIGTERM, and the log says what failed."""
    ended = run("""
logging.basicConfig(format="%(levelname)s %(message)s")
def on_signal():
    raise ValueError("no such run")
Preemption(on_signal, before_death=lambda seconds: say("last")).watch()
term()
""")
    assert (ended.status, ended.said) == (KILLED, ["last"])
    assert ended.errors.splitlines() == ["WARNING What was to be done at SIGTERM failed: ValueError: no such run"]


# Handlers of others ------------------------------------------------------------------------------------------------


def test_an_earlier_handler_is_called_at_each_signal_and_the_callable_once() -> None:
    """The process survives if the earlier handler lets it."""
    ended = run("""
signal.signal(signal.SIGTERM, earlier)
watch = Preemption(lambda: say("told"), before_death=lambda seconds: say("never"))
watch.watch()
say(watch.signalled)
term(), term()
settle()
say(watch.signalled)
""")
    assert ended.status == 0
    assert sorted(ended.said) == ["False", "True", "earlier 15 True", "earlier 15 True", "told"]


def test_an_earlier_handler_does_not_wait_for_the_callable() -> None:
    """A checkpoint is not held by a W&B that hangs."""
    ended = run("""
signal.signal(signal.SIGTERM, lambda signum, frame: say("earlier", time.monotonic() - begun < 0.5))
Preemption(lambda: time.sleep(60)).watch()
begun = time.monotonic()
term()
""")
    assert (ended.status, ended.said) == (0, ["earlier True"])


def test_an_exception_of_the_earlier_handler_reaches_the_interrupted_code() -> None:
    """`sys.exit` in a handler is how many a script ends itself."""
    ended = run("""
signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(143))
Preemption(lambda: say("told")).watch()
try:
    term()
finally:
    settle()
""")
    assert (ended.status, ended.said) == (143, ["told"])


def test_the_callable_gets_a_lock_as_soon_as_the_surviving_process_frees_it() -> None:
    """With an earlier handler nothing waits for the callable, so the interrupted code goes on and frees its lock."""
    ended = run("""
lock = threading.Lock()
def on_signal():
    with lock:
        say("told")
signal.signal(signal.SIGTERM, earlier)
Preemption(on_signal).watch()
with lock:
    term()
    settle()
    say("freed")
settle()
""")
    assert (ended.status, ended.said) == (0, ["earlier 15 True", "freed", "told"])


LATER = """
def later(signum, frame):
    say("later")
    if callable(before):
        before(signum, frame)
"""


def test_a_later_handler_that_calls_ours_decides_whether_the_process_lives() -> None:
    """Without us it would have found no handler to call, and gone on: to its checkpoint, say."""
    ended = run(f"""{LATER}
Preemption(lambda: say("told"), before_death=lambda seconds: say("never")).watch()
before = signal.signal(signal.SIGTERM, later)
term()
settle()
say("still here")
""")
    assert (ended.status, ended.said) == (0, ["later", "told", "still here"])


def test_a_later_handler_that_puts_ours_back_and_sends_the_signal_again_ends_the_process() -> None:
    """The other custom of handlers: clean up, then die as one would have."""
    ended = run("""
Preemption(lambda: say("told"), before_death=lambda seconds: say("last")).watch()
def later(signum, frame):
    say("later")
    signal.signal(signum, before)
    term()
before = signal.signal(signal.SIGTERM, later)
term()
""")
    assert (ended.status, ended.said) == (KILLED, ["later", "told", "last"])


def test_watching_again_comes_before_a_handler_that_would_not_call_ours() -> None:
    """The Trainer's own handler calls none that was there before it, and puts that back in the end."""
    ended = run("""
watch = Preemption(lambda: say("told"))
watch.watch()
ours = signal.signal(signal.SIGTERM, earlier)
watch.watch()
term()
settle()
signal.signal(signal.SIGTERM, ours)
watch.release()
say(signal.getsignal(signal.SIGTERM).name)
""")
    assert ended.status == 0
    assert sorted(ended.said) == ["SIG_DFL", "earlier 15 True", "told"]


def test_watching_again_over_a_handler_that_calls_ours_calls_each_once() -> None:
    """Ours and theirs don't call each other for good."""
    ended = run(f"""{LATER}
signal.signal(signal.SIGTERM, earlier)
watch = Preemption(lambda: None)
watch.watch()
before = signal.signal(signal.SIGTERM, later)
watch.watch()
term()
""")
    assert (ended.status, ended.said) == (0, ["later", "earlier 15 True"])


def test_an_ignored_sigterm_stays_ignored() -> None:
    """Such a process goes on training: nothing is told, and programs that it starts ignore SIGTERM still."""
    ended = run("""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
watch = Preemption(lambda: say("never"))
watch.watch()
term()
settle()
say(signal.getsignal(signal.SIGTERM).name, watch.signalled)
""")
    assert (ended.status, ended.said) == (0, ["SIG_IGN False"])


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells of handlers that Python doesn't know")
def test_a_handler_of_c_code_is_left_alone() -> None:
    """`faulthandler` shows where a process hangs when SIGTERM comes; ours would have taken its place."""
    ended = run("""
faulthandler.register(signal.SIGTERM)
Preemption(lambda: say("never")).watch()
term()
settle()
""")
    assert (ended.status, ended.said) == (0, [])
    assert "most recent call first" in ended.errors


# Installing and putting back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", ["signal.SIG_DFL", "earlier"])
def test_release_puts_back_what_was_there(handler: str) -> None:
    """After watching twice, too; SIGTERM then does what it did, and nothing is told."""
    ended = run(f"""
signal.signal(signal.SIGTERM, {handler})
watch = Preemption(lambda: say("never"))
watch.watch()
watch.watch()
watch.release()
say(signal.getsignal(signal.SIGTERM) is {handler}, watch.signalled)
watch.release()
term()
settle()
""")
    if handler == "earlier":
        assert (ended.status, ended.said) == (0, ["True False", "earlier 15 True"])
    else:
        assert (ended.status, ended.said) == (KILLED, ["True False"])


def test_release_leaves_a_later_handler_and_passes_its_calls_on() -> None:
    """What was there before ours is still called by way of it."""
    ended = run(f"""{LATER}
signal.signal(signal.SIGTERM, earlier)
watch = Preemption(lambda: say("never"))
watch.watch()
before = signal.signal(signal.SIGTERM, later)
watch.release()
say(signal.getsignal(signal.SIGTERM) is later)
term()
settle()
""")
    assert (ended.status, ended.said) == (0, ["True", "later", "earlier 15 True"])


def test_release_in_another_thread_passes_signals_on() -> None:
    """No handler can be put back there, so ours stays and does nothing but that."""
    ended = run("""
watch = Preemption(lambda: say("never"), before_death=lambda seconds: say("never"))
watch.watch()
thread = threading.Thread(target=watch.release)
thread.start(), thread.join()
term()
""")
    assert (ended.status, ended.said) == (KILLED, [])


def test_signals_while_watching_and_releasing_all_reach_the_earlier_handler() -> None:
    """No moment of `watch` or `release` is one in which SIGTERM kills, or is lost."""
    ended = run("""
seen = []
signal.signal(signal.SIGTERM, lambda signum, frame: seen.append(signum))
ended = threading.Event()
def send():
    for count in range(300):
        before = len(seen)
        term()
        while len(seen) == before:
            time.sleep(0.0001)
    ended.set()
threading.Thread(target=send).start()
rounds = 0
while not ended.is_set():
    watch = Preemption(lambda: None)
    watch.watch()
    watch.release()
    rounds += 1
say(len(seen), rounds > 100)
""")
    assert (ended.status, ended.said) == (0, ["300 True"])


def test_outside_the_main_thread_nothing_is_installed() -> None:
    """One line for those who debug says so."""
    ended = run("""
logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(message)s")
watch = Preemption(lambda: say("never"))
thread = threading.Thread(target=watch.watch)
thread.start(), thread.join()
say(signal.getsignal(signal.SIGTERM).name)
watch.release()
""")
    assert (ended.status, ended.said) == (0, ["SIG_DFL"])
    assert ended.errors.splitlines() == ["DEBUG SIGTERM is not watched for: this is not the main thread."]


def test_two_that_watch_are_both_told_and_both_waited_for() -> None:
    """Two runs may be open in one process; the one that is released first leaves the other watching."""
    ended = run("""
def slow(seconds):
    time.sleep(0.3)
    say("second's last")
first = Preemption(lambda: say("first"))
second = Preemption(lambda: say("second"), before_death=slow)
third = Preemption(lambda: say("never"))
first.watch(), second.watch(), third.watch()
third.release()
term()
""")
    assert ended.status == KILLED
    assert sorted(ended.said) == ["first", "second", "second's last"]


# Children ----------------------------------------------------------------------------------------------------------

CHILD = """
child = os.fork()
if child == 0:
    term()
    settle()
    os._exit(7)
say("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_dies_of_sigterm_at_once() -> None:
    """A DataLoader's worker is ended that way, and the run is not told of it."""
    ended = run(f"""
Preemption(lambda: say("never"), before_death=lambda seconds: say("never")).watch()
{CHILD}
say("parent watches", signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
""")
    assert (ended.status, ended.said) == (0, [f"child {KILLED}", "parent watches True"])


def test_a_forked_child_that_runs_c_code_dies_of_sigterm_at_once() -> None:
    """No handler of Python's would run there before the C code returns."""
    ended = run("""
Preemption(lambda: say("never")).watch()
child = os.fork()
if child == 0:
    sum(range(10**9))  # ten seconds and more, all of them in C
    os._exit(7)
settle()
os.kill(child, signal.SIGTERM)
begun = time.monotonic()
say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), time.monotonic() - begun < 1)
""")
    assert (ended.status, ended.said) == (0, [f"{KILLED} True"])


def test_in_a_forked_child_an_earlier_handler_is_called_alone() -> None:
    """Whether ours was put away there, or is called by a handler that was installed over it."""
    for later in ("", "before = signal.signal(signal.SIGTERM, later)"):
        ended = run(f"""{LATER}
signal.signal(signal.SIGTERM, earlier)
Preemption(lambda: say("never")).watch()
{later}
{CHILD}
""")
        assert (ended.status, ended.said[-2:]) == (0, ["earlier 15 True", "child 7"])
        assert "never" not in ended.said


def test_a_child_can_watch_for_itself() -> None:
    """A training in a forked process, as a notebook's launcher starts it, is told of its own SIGTERM."""
    ended = run(f"""
Preemption(lambda: say("never")).watch()
{CHILD.replace("term()", "Preemption(lambda: say('told')).watch(); term()")}
""")
    assert (ended.status, ended.said) == (0, ["told", f"child {KILLED}"])
