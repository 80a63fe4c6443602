fn open(base_url: Option<&str>, retry_count: u32, name: &str) {}

struct Client;

impl Client {
    fn wait(&self, timeout_ms: u64) {}
}

fn calls(count: u32) {
    open(/*base_url*/ None, /*retry_count*/ 3, "x");
    open(/*base_url*/ None, /*retry_count*/ count, /*name*/ "x");
    // Not an argument comment at all, so the literal is uncommented.
    open(/* base_url */ /*base_url*/ None, /*retry_count=*/ /*retry_count*/ 3, /* anything */ "x");
    Client.wait(/*timeout_ms*/ 5);
	open(/*base_url*/ Some("tab"), count, "ä"); open(/*base_url*/ Some("ä"), count, "same line");
}
