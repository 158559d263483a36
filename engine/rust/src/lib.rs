//! Strict Ed25519 verification with the GIL released, on as many threads as there are cores.
//!
//! One equation for every node: S below the group's order, A and R canonical and not of small order, cofactorless, one
//! signature at a time. A batch equation would accept what single checks refuse, and replicas would split. Sources: RFC 8032;
//! "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020).

use ed25519_dalek::{Signature, VerifyingKey};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::OnceLock;
use std::thread;

/// Below this many signatures a second thread costs more than it saves.
const PER_THREAD: usize = 8;

/// How many signatures a thread takes at a time.
const SHARE: usize = 4;

/// p = 2^255 - 19, little-endian.
const P: [u8; 32] = [
    0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
];

/// Public key, message, signature.
type Job = (PyBackedBytes, PyBackedBytes, PyBackedBytes);

/// Whether the y of an encoded point is below p.
fn is_canonical(point: &[u8; 32]) -> bool {
    let mut y = *point;
    y[31] &= 0x7f;
    y.iter().rev().lt(P.iter().rev())
}

fn key_of(bytes: &[u8]) -> Option<VerifyingKey> {
    let bytes: &[u8; 32] = bytes.try_into().ok()?;
    if !is_canonical(bytes) {
        return None;
    }
    let key = VerifyingKey::from_bytes(bytes).ok()?;
    (!key.is_weak()).then_some(key)
}

fn verify_one((key, message, signature): &Job) -> bool {
    let Some(key) = key_of(key) else { return false };
    let Ok(bytes) = <&[u8; 64]>::try_from(&signature[..]) else { return false };
    let Ok(r) = <&[u8; 32]>::try_from(&bytes[..32]) else { return false };
    is_canonical(r) && key.verify_strict(message, &Signature::from_bytes(bytes)).is_ok()
}

fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZeroUsize::get))
}

/// Every thread, the caller's among them, takes shares until none is left; so a thread that cannot be started only costs time.
fn verify_all(jobs: &[Job], threads: usize) -> Vec<bool> {
    let verified: Vec<AtomicBool> = jobs.iter().map(|_| AtomicBool::new(false)).collect();
    let next = AtomicUsize::new(0);
    let work = || loop {
        let start = next.fetch_add(SHARE, Ordering::Relaxed);
        if start >= jobs.len() {
            break;
        }
        for at in start..jobs.len().min(start + SHARE) {
            verified[at].store(verify_one(&jobs[at]), Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    verified.into_iter().map(AtomicBool::into_inner).collect()
}

/// For each (public key, message, signature): whether the signature is that key's under the strict equation.
#[pyfunction]
fn verify_many(py: Python<'_>, jobs: Vec<Job>) -> Vec<bool> {
    let threads = cores().min(jobs.len() / PER_THREAD).max(1);
    py.detach(|| verify_all(&jobs, threads))
}

/// Whether 32 bytes are a canonical point of the curve that is not of small order.
#[pyfunction]
fn is_acceptable_key(key: &[u8]) -> bool {
    key_of(key).is_some()
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(verify_many, module)?)?;
    module.add_function(wrap_pyfunction!(is_acceptable_key, module)?)?;
    Ok(())
}
