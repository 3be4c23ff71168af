//! Writes a layout in order, for a pipe or for digests.
//!
//! A consumer is the sink or a digest. It takes the blocks in order, one at a time, on any thread.
//! Each thread repeatedly does the next possible step: it passes a finished block to a consumer
//! that waits for it, or else renders the next item into a block. Items are taken in order as well,
//! and only a bounded distance ahead of the slowest consumer, which bounds the memory. This can't
//! deadlock with any number of threads, even one: the first missing block is always either being
//! rendered or the next to be taken.
//!
//! An item after the end of an observed range is not taken before the whole range is rendered.
//!
//! After an item fails, no later item is taken. All earlier items were already taken and still
//! reach their consumers, so the first failure is always the one that is reported.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::vec;

use super::Layout;
use super::block::Block;
use super::digest::{Digest, Hasher};
use super::options::{Failure, Options};
use super::sink::Sink;
use super::work::{LARGE, WRITE_SIZE, WorkItem, WorkItems};
use super::write_buffer::{WriteBuffer, cannot_write};
use crate::error::Result;
use crate::progress::{Meter, Phase};
use crate::workers::share;

/// Number of blocks per thread that may be rendered before the first of them is consumed.
const AHEAD: usize = 4;

/// A consumer of blocks in order.
enum Consumer<'a> {
    Sink(&'a dyn Sink),
    Digest(Hasher),
}

impl Consumer<'_> {
    fn take(&mut self, block: &Block) -> Result<()> {
        match (self, block) {
            (Self::Digest(hasher), block) => {
                hasher.update(block);
                Ok(())
            }
            (Self::Sink(sink), Block::Zeros(range)) => {
                sink.zeros(range.start, range.end - range.start).map_err(cannot_write(*sink))
            }
            (Self::Sink(sink), Block::Bytes { offset, bytes }) => {
                sink.write(*offset, bytes).map_err(cannot_write(*sink))
            }
        }
    }
}

/// A consumer and its position in the sequence of blocks.
struct Place<'a> {
    /// Range of the image that the consumer needs.
    range: Range<u64>,
    /// Number of the next block to check for overlap with `range`.
    next: usize,
    /// `None` while a thread passes a block to the consumer.
    consumer: Option<Consumer<'a>>,
}

/// The next step of a thread.
enum Step<'a> {
    /// Render the block of an item. The memory is that of an earlier block, if there is one.
    Make(usize, WorkItem<'a>, Vec<u8>),
    /// Pass a block to a consumer.
    Consume {
        place: usize,
        consumer: Consumer<'a>,
        number: usize,
        block: Arc<Block>,
    },
    /// Wait for other threads.
    Wait,
    End,
}

struct State<'a> {
    /// Items not taken yet, up to the end of the current observed range. `cuts` holds the items
    /// after it.
    items: WorkItems<'a>,
    cuts: vec::IntoIter<WorkItems<'a>>,
    /// Number of the first block in `blocks`.
    first: usize,
    /// Blocks of all items taken so far, from `first` on; `None` for unfinished ones.
    blocks: VecDeque<Option<Arc<Block>>>,
    /// Memory of blocks that all consumers have taken.
    spares: Vec<Vec<u8>>,
    /// Number of blocks being rendered.
    making: usize,
    /// Maximum number of blocks to hold.
    ahead: usize,
    places: Vec<Place<'a>>,
    /// Number of blocks, once known, or number of the first failed block.
    end: usize,
    failure: Option<Failure>,
    /// Whether a thread panicked, so that its current step will never finish.
    is_abandoned: bool,
}

impl<'a> State<'a> {
    fn step(&mut self) -> Step<'a> {
        if self.is_abandoned {
            return Step::End;
        }
        if let Some(step) = self.consume() {
            return step;
        }
        let needed = self.places.iter().map(|place| place.next).min().unwrap_or(self.end);
        while self.first < needed
            && let Some(block) = self.blocks.front_mut().and_then(Option::take)
        {
            self.blocks.pop_front();
            self.first += 1;
            self.reuse(block);
        }
        if let Some(step) = self.make() {
            return step;
        }
        let is_idle = self.places.iter().all(|place| place.consumer.is_some());
        match is_idle && self.making == 0 && self.first + self.blocks.len() >= self.end {
            true => Step::End,
            false => Step::Wait,
        }
    }

    fn consume(&mut self) -> Option<Step<'a>> {
        for (index, place) in self.places.iter_mut().enumerate() {
            while place.consumer.is_some() && place.next < self.end {
                let number = place.next;
                let Some(Some(block)) = self.blocks.get(number - self.first) else { break };
                place.next += 1;
                let range = block.range();
                if range.start < place.range.end && place.range.start < range.end {
                    let (consumer, block) = (place.consumer.take()?, Arc::clone(block));
                    return Some(Step::Consume { place: index, consumer, number, block });
                }
            }
        }
        None
    }

    fn make(&mut self) -> Option<Step<'a>> {
        let number = self.first + self.blocks.len();
        while number < self.end && self.blocks.len() < self.ahead {
            if let Some(item) = self.items.next() {
                self.blocks.push_back(None);
                self.making += 1;
                let spare = self.spares.pop().unwrap_or_default();
                return Some(Step::Make(number, item, spare));
            }
            if self.making > 0 {
                break;
            }
            match self.cuts.next() {
                Some(items) => self.items = items,
                None => self.end = number,
            }
        }
        None
    }

    /// Reuses the memory of a block that no consumer needs any more.
    fn reuse(&mut self, block: Arc<Block>) {
        if let Some(Block::Bytes { bytes, .. }) = Arc::into_inner(block) {
            self.spares.push(bytes);
        }
    }

    fn fail(&mut self, failure: Failure) {
        if failure.0 < self.end {
            self.end = failure.0;
            self.failure = Some(failure);
        }
    }
}

struct Line<'a> {
    layout: &'a Layout,
    sink: &'a dyn Sink,
    meter: Meter<'a>,
    state: Mutex<State<'a>>,
    /// Notified after each step.
    done: Condvar,
}

/// A guard for a step in progress: if the step panics, the other threads still terminate.
struct Doing<'a, 'b>(&'a Line<'b>);

impl Drop for Doing<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state().is_abandoned = true;
        }
        self.0.done.notify_all();
    }
}

pub(super) fn emit(layout: &Layout, sink: &dyn Sink, options: &Options<'_>) -> Result<Vec<Digest>> {
    let place = |range, consumer| Place { range, next: 0, consumer: Some(consumer) };
    let sinks = sink.in_order().then(|| place(0..layout.size(), Consumer::Sink(sink)));
    let digests = options.digests.iter().map(|range| {
        let hasher = Hasher::new(range.clone());
        place(range.clone(), Consumer::Digest(hasher))
    });
    let places = sinks.into_iter().chain(digests).collect();
    // Hashing zeros takes as long as hashing other bytes, so long runs of them are split, too.
    let mut cuts = WorkItems::new(layout, WRITE_SIZE, LARGE).into_iter();
    let state = State {
        items: cuts.next().expect("a layout has an end"),
        cuts,
        first: 0,
        blocks: VecDeque::new(),
        spares: Vec::new(),
        making: 0,
        ahead: 0,
        places,
        end: usize::MAX,
        failure: None,
        is_abandoned: false,
    };
    let phase = if options.digests.is_empty() { Phase::Write } else { Phase::Hash };
    let meter = Meter::new(options.observer, phase, layout.size());
    let line = Line { layout, sink, meter, state: Mutex::new(state), done: Condvar::new() };
    share(options.threads, || line.work());

    let state = line.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, error)) = state.failure {
        return Err(error);
    }
    let consumers = state.places.into_iter().filter_map(|place| place.consumer);
    Ok(consumers
        .filter_map(|consumer| match consumer {
            Consumer::Digest(hasher) => Some(hasher.finish()),
            Consumer::Sink(_) => None,
        })
        .collect())
}

impl<'a> Line<'a> {
    fn state(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Executes steps until none are left.
    fn work(&self) {
        let direct = (!self.sink.in_order()).then_some(self.sink);
        let mut buffer = WriteBuffer::to_memory(self.layout, direct);
        self.state().ahead += AHEAD;
        loop {
            let mut state = self.state();
            let step = loop {
                match state.step() {
                    Step::Wait => {
                        state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
                    }
                    step => break step,
                }
            };
            drop(state);
            let _doing = Doing(self);
            match step {
                Step::Make(number, item, spare) => {
                    let made = self.make(&item, &mut buffer, direct, spare);
                    self.made(number, made);
                }
                Step::Consume { place, mut consumer, number, block } => {
                    let taken = consumer.take(&block);
                    let mut state = self.state();
                    state.places[place].consumer = Some(consumer);
                    state.reuse(block);
                    if let Err(error) = taken {
                        state.fail((number, error));
                    }
                }
                Step::Wait | Step::End => return,
            }
        }
    }

    fn make(
        &self,
        item: &WorkItem<'a>,
        buffer: &mut WriteBuffer<'a>,
        direct: Option<&dyn Sink>,
        spare: Vec<u8>,
    ) -> Result<Block> {
        if !item.is_zeros() {
            buffer.item(item)?;
            return Ok(Block::Bytes { offset: item.range.start, bytes: buffer.take(spare) });
        }
        if let Some(sink) = direct {
            sink.zeros(item.range.start, item.len()).map_err(cannot_write(sink))?;
        }
        Ok(Block::Zeros(item.range.clone()))
    }

    fn made(&self, number: usize, made: Result<Block>) {
        let made = made.and_then(|block| {
            let range = block.range();
            self.meter.add(range.end - range.start).map(|()| block)
        });
        let mut state = self.state();
        state.making -= 1;
        match made {
            Ok(block) => {
                let place = number - state.first;
                state.blocks[place] = Some(Arc::new(block));
            }
            Err(error) => state.fail((number, error)),
        }
    }
}
