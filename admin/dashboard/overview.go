package dashboard

var overviewPage = page{
	name: "overview", path: home, title: "Overview", menu: "Overview", icon: "activity",
	shows: "overview",
}
