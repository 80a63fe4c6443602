use super::source_of_page;

#[test]
fn a_page_becomes_its_source() {
    let page = "<html><h1>x</h1><pre class=\"rust\"><code><a href=#1 id=1 data-nosnippet>1</a><span class=\"kw\">fn \
                </span>f() -&gt; <a href=\"x\">u8</a> {\n<a href=#2 id=2 data-nosnippet>2</a>    &amp;lt; &quot;&#39;\n\
                <a href=#3 id=3 data-nosnippet>3</a>}\n</code></pre></html>";
    assert_eq!(source_of_page(page).as_deref(), Some("fn f() -> u8 {\n    &lt; \"'\n}\n"));
}

#[test]
fn a_page_without_source_is_no_source() {
    assert_eq!(source_of_page("<html>moved</html>"), None);
}
