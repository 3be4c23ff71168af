//! Writes a layout where somebody needs the bytes in order: a pipe, or a digest.
//!
//! Every thread does what can be done next: it gives a finished block to a consumer that waits for
//! it, or else makes the block of the next item. A consumer, the sink or a digest, takes the
//! blocks in order, one at a time, in whichever thread. Items are taken in order too, and not far
//! ahead of the slowest consumer, so memory is bounded. No number of threads comes to a
//! standstill, not even one: the first block that is missing is being made, or is the next to be.
//!
//! An item after the end of an observed range is not taken before the whole range is made.
//!
//! When an item fails, no later item is taken. Earlier items were taken already and still reach
//! their consumers, so the first failure is always found.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::vec;

use super::Layout;
use super::digest::{Digest, Hasher};
use super::emit::{Failure, Options};
use super::sink::Sink;
use super::work::{WRITE_SIZE, WorkItem, WorkItems};
use super::write_buffer::{WriteBuffer, cannot_write};
use crate::error::Result;
use crate::workers::share;

/// How many blocks may be made for each thread before the first of them is consumed.
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

impl Block {
    fn range(&self) -> Range<u64> {
        match self {
            Self::Zeros(range) => range.clone(),
            Self::Bytes { offset, bytes } => *offset..*offset + bytes.len() as u64,
        }
    }
}

/// What takes blocks in order.
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

/// A consumer in the queue for blocks.
struct Place<'a> {
    /// The bytes of the image that it wants.
    range: Range<u64>,
    /// The number of the next block that it may want.
    next: usize,
    /// Nothing while a thread gives it a block.
    consumer: Option<Consumer<'a>>,
}

/// What a thread can do.
enum Step<'a> {
    /// Make the block of an item.
    Make(usize, WorkItem<'a>),
    /// Give a block to a consumer.
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
    /// The items that are not taken yet: up to the end of the observed range, and those after it.
    items: WorkItems<'a>,
    cuts: vec::IntoIter<WorkItems<'a>>,
    /// The number of the first block that is held.
    first: usize,
    /// The blocks of all items that were taken, from that one on; nothing for unfinished ones.
    blocks: VecDeque<Option<Arc<Block>>>,
    /// How many blocks are being made.
    making: usize,
    /// How many blocks may be held.
    ahead: usize,
    places: Vec<Place<'a>>,
    /// The number of blocks, as soon as it is known, or of the first one that failed.
    end: usize,
    failure: Option<Failure>,
    /// Whether a thread panicked, so that what it was doing will never be finished.
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
        while self.first < needed && self.blocks.front().is_some_and(Option::is_some) {
            self.blocks.pop_front();
            self.first += 1;
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
                return Some(Step::Make(number, item));
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
    options: &'a Options<'a>,
    state: Mutex<State<'a>>,
    /// Told whenever a step was done.
    done: Condvar,
}

/// A step that is being done; if it panics the other threads still come to an end.
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
    let mut cuts = WorkItems::new(layout, WRITE_SIZE).into_iter();
    let state = State {
        items: cuts.next().expect("a layout has an end"),
        cuts,
        first: 0,
        blocks: VecDeque::new(),
        making: 0,
        ahead: 0,
        places,
        end: usize::MAX,
        failure: None,
        is_abandoned: false,
    };
    let line = Line { layout, sink, options, state: Mutex::new(state), done: Condvar::new() };
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

    /// Does steps until there are no more.
    fn work(&self) {
        let direct = (!self.sink.in_order()).then_some(self.sink);
        let mut gather = WriteBuffer::to_memory(self.layout, direct);
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
                Step::Make(number, item) => self.make(number, &item, &mut gather, direct),
                Step::Consume { place, mut consumer, number, block } => {
                    let taken = consumer.take(&block);
                    let mut state = self.state();
                    state.places[place].consumer = Some(consumer);
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
        number: usize,
        item: &WorkItem<'a>,
        gather: &mut WriteBuffer<'a>,
        direct: Option<&dyn Sink>,
    ) {
        let made = match (item.is_zeros(), direct) {
            (false, _) => gather
                .item(item)
                .map(|()| Block::Bytes { offset: item.range.start, bytes: gather.take() }),
            (true, None) => Ok(Block::Zeros(item.range.clone())),
            (true, Some(sink)) => sink
                .zeros(item.range.start, item.len())
                .map_err(cannot_write(sink))
                .map(|()| Block::Zeros(item.range.clone())),
        };
        if made.is_ok() {
            self.options.done(item.len());
        }
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
