package dashboard

var rulesPage = page{
	name: "rules", path: home + "/rules", title: "Rules", menu: "Rules", icon: "tree",
	shows: "rules",
}
