//! The allocator of a program that is linked with musl has a lock as soon as there is a second thread: the program's own
//! pthread_create(3) tells it.

use std::thread;

rootling_sys::with_musl!();

/// Allocates, grows and frees blocks of many sizes, each of which holds only what this thread has written.
fn work(mark: u8) {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for round in 0..20_000_usize {
        let mut block = vec![mark; round * 37 % 3000];
        block.extend(std::iter::repeat_n(mark, round % 500));
        assert!(block.iter().all(|byte| *byte == mark));
        kept.push(block);
        if kept.len() > 50 {
            let old = kept.swap_remove(round % 50);
            assert!(old.iter().all(|byte| *byte == mark));
        }
    }
}

#[test]
fn threads_do_not_get_each_others_blocks() {
    let threads: Vec<_> = (1..=4).map(|mark| thread::spawn(move || work(mark))).collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    // glibc has an allocator of its own.
    assert_eq!(rootling_sys::allocator::has_threads(), cfg!(target_env = "musl"));
}
