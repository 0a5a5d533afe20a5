package dashboard

var poolsPage = page{
	name: "pools", path: home + "/pools", title: "Pools", menu: "Pools", icon: "layers",
	shows: "pools",
}
