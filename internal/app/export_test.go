package app

import "github.com/weir-rls/weir/admin"

// Routes are those of the HTTP port.
func (a *App) Routes() []admin.Route { return a.httpServer.Handler.(*admin.Pages).Routes() }
