//! How many operations may be under way: an operation outlives its request, so no bound on requests bounds it.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use dashmap::{DashMap, mapref::entry::Entry};

/// Lets so many operations begin, and of one address only a share of them. A cheap handle.
#[derive(Clone, Debug, Default)]
pub struct Operations(Arc<UnderWay>);

#[derive(Debug, Default)]
struct UnderWay {
    all: Mutex<usize>,
    by_address: DashMap<IpAddr, usize, foldhash::fast::RandomState>,
}

impl Operations {
    /// Operations under way at once.
    const MOST: usize = 512;
    /// Of one address, as [`crate::net::counted_as`] has it.
    const MOST_OF_ONE: usize = 64;

    /// A place for one more operation, until it is dropped; `None` when there is none.
    pub(super) fn begin(&self, address: IpAddr) -> Option<Place> {
        let mut all = self.0.all.lock().unwrap_or_else(PoisonError::into_inner);
        if *all >= Self::MOST {
            return None;
        }
        let mut of_one = self.0.by_address.entry(address).or_insert(0);
        if *of_one >= Self::MOST_OF_ONE {
            return None;
        }
        *of_one += 1;
        *all += 1;
        Some(Place { under_way: Arc::clone(&self.0), address })
    }
}

/// One operation's place.
#[derive(Debug)]
pub(super) struct Place {
    under_way: Arc<UnderWay>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.under_way.all.lock().unwrap_or_else(PoisonError::into_inner);
        *all = all.saturating_sub(1);
        if let Entry::Occupied(mut place) = self.under_way.by_address.entry(self.address) {
            *place.get_mut() = place.get().saturating_sub(1);
            if *place.get() == 0 {
                place.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_its_share_and_all_have_theirs() {
        let operations = Operations::default();
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let mut places: Vec<_> =
            (0..Operations::MOST_OF_ONE).map(|_| operations.begin(address(1)).unwrap()).collect();
        assert!(operations.begin(address(1)).is_none());
        for other in 2..9 {
            places.extend((0..Operations::MOST_OF_ONE).map(|_| operations.begin(address(other)).unwrap()));
        }
        assert_eq!(places.len(), Operations::MOST);
        assert!(operations.begin(address(99)).is_none());
        places.pop();
        assert!(operations.begin(address(99)).is_some());
        drop(places);
        assert!(operations.0.by_address.is_empty(), "an address that asks nothing is forgotten");
    }
}
