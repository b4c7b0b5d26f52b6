// Package svg draws small charts as SVG that stands inside an HTML page: histograms,
// lines, strips of points, intervals, bars for cells of tables, heat maps.
//
// A chart is as wide as what holds it. What lies along x is given in percent, what lies
// along y and all text in pixels, so text keeps its size on a phone, on a screen and on
// paper. Nothing is drawn by script and nothing is loaded.
//
// Colours are classes; [Style] has their rules, which take the page's custom properties
// --paper, --ink, --muted, --rule, --accent and --bad. Series differ in shape too, never
// in colour alone. Every chart has a title and a description for those who do not see
// it. Values that are not finite are left out. The same chart gives the same bytes.
package svg
