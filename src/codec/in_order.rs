//! Items that several threads encode, with results in the order of the items.

use std::num::NonZero;

use crate::error::Result;
use crate::workers::{Queue, share};

/// Encodes `count` items, several at a time, and returns the results in order.
///
/// Each thread calls `encoder` once, `encode` for every item that it takes, and then `finish`.
///
/// # Errors
/// The error of the first item, in order, that can't be encoded; if all are encoded, an error of
/// `finish`.
pub(crate) fn encode_in_order<I: Iterator + Send, E, T: Send>(
    items: I,
    count: usize,
    threads: NonZero<usize>,
    encoder: impl Fn() -> E + Sync,
    encode: impl Fn(&mut E, I::Item) -> Result<T> + Sync,
    finish: impl Fn(E) -> Result<()> + Sync,
) -> Result<Vec<T>> {
    let queue = Queue::new(items);
    let work = || {
        let (mut encoder, mut done) = (encoder(), Vec::new());
        while let Some((number, item)) = queue.next() {
            match encode(&mut encoder, item) {
                Ok(output) => done.push((number, output)),
                Err(error) => queue.fail(number, error),
            }
        }
        if let Err(error) = finish(encoder) {
            queue.fail(count, error);
        }
        done
    };
    let most = NonZero::new(count).unwrap_or(NonZero::<usize>::MIN);
    let mut done: Vec<_> = share(threads.min(most), work).into_iter().flatten().collect();
    queue.finish()?;
    done.sort_by_key(|&(number, _)| number);
    Ok(done.into_iter().map(|(_, output)| output).collect())
}
