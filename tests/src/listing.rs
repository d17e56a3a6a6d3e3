//! All that a container holds, whatever pages it comes in.

use daybridge::connector::{Connector, Error, Listed};
use daybridge::model::Container;

/// Pages of a listing in a test; beyond it the listing has no end.
const PAGES_MAX: usize = 1000;

/// Reads a listing to its end; an item that comes twice is in it once.
///
/// # Errors
/// The connector's.
pub async fn list(connector: &(impl Connector + ?Sized), container: &Container) -> Result<Vec<Listed>, Error> {
    let (mut items, mut from) = (Vec::<Listed>::new(), None);
    for _ in 0..PAGES_MAX {
        let page = connector.list(container, from.as_ref()).await?;
        for item in page.items {
            if items.iter().all(|known| known.at != item.at) {
                items.push(item);
            }
        }
        from = page.next;
        if from.is_none() {
            return Ok(items);
        }
    }
    panic!("the listing has no end");
}
