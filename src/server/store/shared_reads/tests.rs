//! Tests which callers share a read, and how long a caller waits for other callers' reads.

use std::cell::RefCell;
use std::future::pending;
use std::task::Poll;

use futures::future::{join_all, try_join_all};
use futures::{FutureExt as _, poll};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::*;

type Reads = SharedReads<&'static str, u32, Vec<u32>>;
type Got = Result<Vec<u32>, &'static str>;

/// The reads that began, each with its items.
#[derive(Default)]
struct Begun(RefCell<Vec<Vec<u32>>>);

impl Begun {
    /// A read that returns its items.
    async fn items(&self, items: Vec<u32>) -> Got {
        self.0.borrow_mut().push(items.clone());
        Ok(items)
    }

    /// A read that fails.
    async fn failure(&self, items: Vec<u32>) -> Got {
        self.0.borrow_mut().push(items);
        Err("no answer")
    }

    fn take(&self) -> Vec<Vec<u32>> {
        self.0.take()
    }
}

/// Polls a call once and expects that it waits.
macro_rules! waiting {
    ($call:expr) => {{
        let mut call = Box::pin($call);
        assert!(poll!(&mut call).is_pending());
        call
    }};
}

/// Calls `get` with a read that ends after `gate`.
async fn gated(reads: &Reads, item: u32, gate: oneshot::Receiver<()>) -> Got {
    let read = async |items| {
        gate.await.unwrap();
        Ok(items)
    };
    reads.get(&"harbour", item, read).await
}

/// Calls `get` with a read that never ends.
async fn stuck(reads: &Reads, key: &'static str, item: u32) -> Got {
    reads.get(&key, item, async |_| pending().await).await
}

#[tokio::test]
async fn callers_share_the_read_that_begins_after_they_asked() {
    let (reads, begun, (go, gate)) = (Reads::default(), Begun::default(), oneshot::channel());
    let first = waiting!(gated(&reads, 1, gate));
    let later = [1, 2, 1, 3].map(|item| reads.get(&"harbour", item, async |items| begun.items(items).await));
    let later = waiting!(try_join_all(later));
    go.send(()).unwrap();
    assert_eq!(first.await, Ok(vec![1]));
    assert_eq!(later.await, Ok(vec![vec![1, 2, 3]; 4]));
    assert_eq!(begun.take(), [[1, 2, 3]], "one read for those who came while the first one ran");
    let again = reads.get(&"harbour", 1, async |items| begun.items(items).await).await;
    assert_eq!((again, begun.take()), (Ok(vec![1]), vec![vec![1]]), "nothing is kept");
    assert!(reads.0.lock().is_empty());
}

#[tokio::test]
async fn one_read_is_of_so_many_items_and_the_next_read_of_the_rest() {
    let (reads, begun, (go, gate)) = (Reads::default(), Begun::default(), oneshot::channel());
    let first = waiting!(gated(&reads, 0, gate));
    let all: Vec<u32> = (0..20).chain(0..20).collect();
    let later = all.iter().map(|&item| reads.get(&"harbour", item, async |items| begun.items(items).await));
    let later = waiting!(try_join_all(later));
    go.send(()).unwrap();
    assert_eq!(first.await, Ok(vec![0]));
    let got = later.await.unwrap();
    assert!(got.iter().zip(&all).all(|(items, item)| items.contains(item)), "{got:?}");
    let begun = begun.take();
    assert_eq!(begun.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_ITEMS, MAX_ITEMS, 8]);
}

#[tokio::test]
async fn reads_of_different_keys_do_not_wait_for_each_other() {
    let (reads, begun) = (Reads::default(), Begun::default());
    let _stuck = waiting!(stuck(&reads, "harbour", 1));
    let other = reads.get(&"southerly", 1, async |items| begun.items(items).await);
    assert_eq!(other.now_or_never(), Some(Ok(vec![1])));
}

#[tokio::test]
async fn callers_of_a_read_that_failed_read_for_themselves_and_at_once() {
    let (reads, begun, (go, gate)) = (Reads::default(), Begun::default(), oneshot::channel());
    let first = waiting!(gated(&reads, 1, gate));
    let failing = waiting!(reads.get(&"harbour", 1, async |items| begun.failure(items).await));
    let mut stuck = waiting!(stuck(&reads, "harbour", 2));
    let last = waiting!(reads.get(&"harbour", 3, async |items| begun.items(items).await));
    go.send(()).unwrap();
    assert_eq!(first.await, Ok(vec![1]));
    assert_eq!(failing.await, Err("no answer"));
    assert_eq!(poll!(&mut stuck), Poll::Pending, "its own read has no end");
    assert_eq!(last.await, Ok(vec![3]), "which keeps nobody waiting");
    assert_eq!(begun.take(), [vec![1, 2, 3], vec![3]]);
}

#[tokio::test]
async fn caller_reads_on_its_own_if_the_reads_before_it_do_not_end() {
    let (reads, begun) = (Reads::default(), Begun::default());
    let _stuck = waiting!(stuck(&reads, "harbour", 0));
    tokio::time::pause();
    let begins_at = Instant::now();
    let all = (0..40).map(|item| reads.get(&"harbour", item, async |items| begun.items(items).await));
    let own: Vec<Got> = (0..40).map(|item| Ok(vec![item])).collect();
    assert_eq!(join_all(all).await, own);
    assert_eq!(begins_at.elapsed().as_secs(), MAX_TURN_WAIT.as_secs(), "not one after the other");
}

#[tokio::test]
async fn caller_that_goes_away_leaves_its_read_to_the_next_one() {
    let (reads, begun) = (Reads::default(), Begun::default());
    let gone = waiting!(stuck(&reads, "harbour", 1));
    let later = (2..5).map(|item| reads.get(&"harbour", item, async |items| begun.items(items).await));
    let later = waiting!(join_all(later));
    drop(gone);
    assert_eq!(later.await, vec![Ok(vec![2, 3, 4]); 3]);
    assert_eq!(begun.take().len(), 1);
    assert!(reads.0.lock().is_empty());
}

#[tokio::test]
async fn nobody_joins_a_read_that_begins_again_for_one_that_went_away() {
    let (reads, begun, (go, gate)) = (Reads::default(), Begun::default(), oneshot::channel());
    let first = waiting!(gated(&reads, 1, gate));
    let mut gone = waiting!(stuck(&reads, "harbour", 2));
    let second = waiting!(reads.get(&"harbour", 3, async |items| begun.items(items).await));
    go.send(()).unwrap();
    assert_eq!(first.await, Ok(vec![1]));
    assert_eq!(poll!(&mut gone), Poll::Pending, "it reads for both");
    let third = waiting!(reads.get(&"harbour", 4, async |items| begun.items(items).await));
    drop(gone);
    assert_eq!((second.await, third.await), (Ok(vec![2, 3]), Ok(vec![4])), "the third one asked later");
}
