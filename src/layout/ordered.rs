//! Writes a layout where somebody needs the bytes in order: a pipe, or a digest.
//!
//! The items go round robin to the workers, and each worker has a short channel to each consumer.
//! A consumer takes its next block from the channel of the worker whose turn it is. So the blocks
//! come in order, memory is bounded by the channels, and nothing but the channels is locked. It
//! can't come to a standstill: of all blocks that somebody waits for, the first one in the image
//! has room in every channel that it goes through, since all before it have been taken out.
//!
//! A worker that fails drops its channels, and the consumers and then the other workers stop when
//! they come to the missing block, but not before: the first failure is always found.

use std::iter::{Enumerate, Flatten};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{thread, vec};

use super::Layout;
use super::cut::{Cut, PIECE};
use super::digest::{self, Digest};
use super::emit::{Failure, Options, first_failure, join};
use super::gate::Gate;
use super::gather::{Gather, cannot_write};
use super::sink::Sink;
use crate::error::Result;

/// How many blocks of a worker may wait for a consumer.
const AHEAD: usize = 4;

/// Finished bytes of the image.
pub(super) enum Block {
    /// Zeros at a range of the image.
    Zeros(Range<u64>),
    /// Other bytes.
    Bytes {
        /// Where they are in the image.
        offset: u64,
        /// At most [`PIECE`] bytes.
        bytes: Vec<u8>,
    },
}

/// All items with their numbers.
type Items<'a> = Enumerate<Flatten<vec::IntoIter<Cut<'a>>>>;

/// The blocks that a consumer gets, in order; they end early when a worker failed.
struct Blocks<'a> {
    items: Items<'a>,
    range: Range<u64>,
    workers: Vec<Receiver<Arc<Block>>>,
    number: usize,
}

impl Iterator for Blocks<'_> {
    type Item = Arc<Block>;

    fn next(&mut self) -> Option<Arc<Block>> {
        let (number, _) = self.items.find(|(_, item)| item.overlaps(&self.range))?;
        self.number = number;
        self.workers[number % self.workers.len()].recv().ok()
    }
}

/// A worker's channel to a consumer, and the range of the image that this one wants.
type Channel = (Range<u64>, SyncSender<Arc<Block>>);

pub(super) fn emit(layout: &Layout, sink: &dyn Sink, options: &Options<'_>) -> Result<Vec<Digest>> {
    let items: Items<'_> = Cut::new(layout, PIECE).into_iter().flatten().enumerate();
    let gate = Gate::new(layout.barriers(), options.threads.get());
    let mut channels: Vec<Vec<Channel>> = vec![Vec::new(); options.threads.get()];
    let mut consumer = |range: Range<u64>| {
        let connect = |channels: &mut Vec<Channel>| {
            let (sender, receiver) = sync_channel(AHEAD);
            channels.push((range.clone(), sender));
            receiver
        };
        let workers = channels.iter_mut().map(connect).collect();
        Blocks { items: items.clone(), range, workers, number: 0 }
    };
    let in_order = sink.in_order().then(|| consumer(0..layout.size()));
    let hashed: Vec<_> = options.digests.iter().map(|range| consumer(range.clone())).collect();

    thread::scope(|scope| {
        let start = |(number, channels): (usize, Vec<Channel>)| {
            let items = items.clone().skip(number).step_by(options.threads.get());
            let gate = &gate;
            scope.spawn(move || work(layout, sink, options, items, gate, &channels))
        };
        let workers: Vec<_> = channels.into_iter().enumerate().map(start).collect();
        let hash = |blocks: Blocks<'_>| digest::hash(&blocks.range.clone(), blocks);
        let hash = |blocks| scope.spawn(move || hash(blocks));
        let hashers: Vec<_> = hashed.into_iter().map(hash).collect();
        let written = in_order.map_or(Ok(()), |blocks| write(sink, blocks));
        let workers = workers.into_iter().map(join).collect::<Vec<_>>();
        let digests = hashers.into_iter().map(join).collect();
        first_failure(workers.into_iter().chain([written])).map(|()| digests)
    })
}

fn work<'a>(
    layout: &'a Layout,
    sink: &'a dyn Sink,
    options: &Options<'_>,
    items: impl Iterator<Item = (usize, super::cut::Item<'a>)>,
    gate: &Gate,
    channels: &[Channel],
) -> Result<(), Failure> {
    let mut passage = gate.enter();
    let direct = (!sink.in_order()).then_some(sink);
    let mut gather = Gather::to_memory(layout, direct);
    for (number, item) in items {
        passage.reach(item.range.start);
        let failed = |error| (number, error);
        let block = if item.is_zeros() {
            if let Some(sink) = direct {
                let written = sink.zeros(item.range.start, item.len());
                written.map_err(cannot_write(sink)).map_err(failed)?;
            }
            Block::Zeros(item.range.clone())
        } else {
            gather.item(&item).map_err(failed)?;
            Block::Bytes { offset: item.range.start, bytes: gather.take() }
        };
        let block = Arc::new(block);
        for (range, channel) in channels {
            if item.overlaps(range) && channel.send(Arc::clone(&block)).is_err() {
                return Ok(());
            }
        }
        options.done(item.len());
    }
    Ok(())
}

fn write(sink: &dyn Sink, mut blocks: Blocks<'_>) -> Result<(), Failure> {
    while let Some(block) = blocks.next() {
        let written = match &*block {
            Block::Zeros(range) => sink.zeros(range.start, range.end - range.start),
            Block::Bytes { offset, bytes } => sink.write(*offset, bytes),
        };
        written.map_err(cannot_write(sink)).map_err(|error| (blocks.number, error))?;
    }
    Ok(())
}
