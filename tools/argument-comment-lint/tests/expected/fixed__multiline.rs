fn open(base_url: Option<&str>, retry_count: u32) {}

fn calls() {
    open(
        /*base_url*/
        None,

        /*retry_count*/

        3,
    );
    open(
        /*base_url*/ None, // why none
        /*retry_count*/
        3,
    );
    open(
        /*base_url*/ None, /*retry_count*/
        3,
    );
    open(
        /*base_url*/ // a word between
        /*base_url*/ None,
        /*retry_count*/ /* and here */ /*retry_count*/ 3,
    );
}
